"""A backend as the server library's documentation shows it, which knows an address and an API key:
`python example.py HOST API_KEY`. Ends with status 0 when everything was done."""

import sys

import cent

host, api_key = sys.argv[1:]
client = cent.Client(f"http://{host}/api", api_key)
channel = "news:all/2026"
assert client.presence_stats(cent.PresenceStatsRequest(channel=channel)).num_users == 2
assert client.channels(cent.ChannelsRequest()).channels[channel].num_clients == 2
assert client.publish(cent.PublishRequest(channel=channel, data={"value": 3})).offset == 2
