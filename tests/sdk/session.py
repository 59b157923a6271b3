"""The Python SDK as a client and Centrifugo's server library as a backend, against a running host:
`python session.py HOST json|protobuf`. Ends with status 0 when everything happened as expected."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import urllib.request

import cent
import centrifuge

HOST, FORMAT = sys.argv[1:]
PROTOBUF = FORMAT == "protobuf"
PATIENCE = 20


def pack(value):
    return json.dumps(value).encode() if PROTOBUF else value


def unpack(data):
    return json.loads(data) if PROTOBUF else data


def rest(method, path, key=None):
    query = ("&" if "?" in path else "?") + f"apikey={key}" if key else ""
    request = urllib.request.Request(f"http://{HOST}{path}{query}", method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def sign(claims, secret):
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    signed = b".".join(part(json.dumps(it).encode()) for it in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (signed + b"." + part(hmac.digest(secret.encode(), signed, hashlib.sha256))).decode()


class Heard(centrifuge.ClientEventHandler):
    """What happens to a client, to be taken one by one."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def __getattribute__(self, name):
        if name.startswith("on_"):
            async def note(event):
                await self.queue.put((name[3:], event))
            return note
        return super().__getattribute__(name)

    async def until(self, name):
        while True:
            what, event = await asyncio.wait_for(self.queue.get(), PATIENCE)
            if what == name:
                return event


async def refused(code, answer):
    try:
        await answer
    except cent.CentApiResponseError as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"expected error {code}")


async def main():
    app = rest("POST", "/api/register")
    key = app["api_key"]
    room = rest("POST", "/api/room", key)["room_id"]
    alice = rest("POST", "/api/user", key)["user_id"]
    rest("PUT", f"/api/room/{room}/{alice}/add", key)
    backend = cent.AsyncClient(f"http://{HOST}/api", key)

    async def token():
        return sign({"sub": alice, "exp": int(time.time()) + 600}, app["secret"])

    heard = Heard()
    address = f"ws://{HOST}/connection/websocket?app={app['app_id']}"
    client = centrifuge.Client(
        address, events=heard, get_token=token, use_protobuf=PROTOBUF, min_reconnect_delay=0.05, proxy=None
    )
    await client.connect()
    connected = await heard.until("connected")
    assert (await heard.until("subscribed")).channel == room

    # What the backend says.
    first = await backend.publish(cent.PublishRequest(channel=room, data={"n": 1}, idempotency_key="once"))
    again = await backend.publish(cent.PublishRequest(channel=room, data={"n": 1}, idempotency_key="once"))
    assert (first.offset, first.epoch) == (again.offset, again.epoch) == (1, first.epoch)
    said = await heard.until("publication")
    assert (said.channel, unpack(said.pub.data), said.pub.offset, said.pub.info) == (room, {"n": 1}, 1, None), said
    told = await backend.broadcast(cent.BroadcastRequest(channels=[room, "nowhere"], data="to all"))
    assert told.responses[0].result.offset == 2 and told.responses[1].error.code == 102, told
    assert unpack((await heard.until("publication")).pub.data) == "to all"

    # What the client says.
    await client.publish(room, pack([3]))
    own = (await heard.until("publication")).pub
    assert (own.info.user, own.info.client, own.offset) == (alice, connected.client, 3), own
    kept = await client.history(room, limit=-1)
    assert [unpack(it.data) for it in kept.publications] == [{"n": 1}, "to all", [3]], kept
    since = cent.StreamPosition(offset=1, epoch=first.epoch)
    page = await backend.history(cent.HistoryRequest(channel=room, limit=1, since=since))
    assert (page.publications[0].data, page.offset) == ("to all", 3), page

    # Who is there.
    present = await backend.presence(cent.PresenceRequest(channel=room))
    assert present.presence[connected.client].user == alice, present
    counted = await backend.presence_stats(cent.PresenceStatsRequest(channel=room))
    assert (counted.num_clients, counted.num_users) == (1, 1), counted
    assert (await client.presence_stats(room)).num_clients == 1
    channels = await backend.channels(cent.ChannelsRequest(pattern="room_*"))
    assert channels.channels[room].num_clients == 1, channels
    assert (await backend.info(cent.InfoRequest())).nodes[0].num_clients == 1

    # The network breaks: nothing is missed.
    client._conn.transport.abort()
    for n in range(20):
        await backend.publish(cent.PublishRequest(channel=room, data=n))
    back = await heard.until("subscribed")
    assert (back.recovered, back.was_recovering) == (True, True), back
    for n in range(20):
        assert unpack((await heard.until("publication")).pub.data) == n

    # Subscriptions that the backend makes and ends: as the rule allows.
    lobby = cent.SubscribeRequest(user=alice, channel="lobby")
    await refused(103, backend.subscribe(lobby))
    await refused(108, backend.unsubscribe(cent.UnsubscribeRequest(user=alice, channel=room)))
    rest("PUT", "/api/policy?rule=open", key)
    await backend.subscribe(lobby)
    assert (await heard.until("subscribed")).channel == "lobby"
    await backend.publish(cent.PublishRequest(channel="lobby", data="in the lobby"))
    assert (await heard.until("publication")).channel == "lobby"
    await backend.unsubscribe(cent.UnsubscribeRequest(user=alice, channel="lobby"))
    assert (await heard.until("unsubscribed")).channel == "lobby"
    requests = [
        cent.PublishRequest(channel="lobby", data="nobody hears this"),
        cent.PublishRequest(channel=room, data="last"),
        cent.HistoryRemoveRequest(channel=room),
        cent.HistoryRequest(channel=room, limit=9),
    ]
    replies = (await backend.batch(cent.BatchRequest(requests=requests))).replies
    assert (replies[3].publications, replies[3].epoch != first.epoch) == ([], True), replies
    assert unpack((await heard.until("publication")).pub.data) == "last"

    # Sessions that the backend ends: one comes back, one stays away.
    before = connected.client
    await backend.refresh(cent.RefreshRequest(user=alice, expired=True))
    connected = await heard.until("connected")
    assert connected.client != before
    keep = cent.DisconnectRequest(user=alice, whitelist=[connected.client])
    await backend.disconnect(keep)
    assert (await client.presence_stats(room)).num_clients == 1, "it was spared"
    why = cent.Disconnect(code=4500, reason="enough")
    await backend.disconnect(cent.DisconnectRequest(user=alice, client=connected.client, disconnect=why))
    gone = await heard.until("disconnected")
    assert (gone.code, gone.reason) == (4500, "enough"), gone
    await refused(107, backend.disconnect(cent.DisconnectRequest(user=alice, disconnect=cent.Disconnect(code=1000, reason=""))))
    await backend.close()
    print("ok")


asyncio.run(main())
