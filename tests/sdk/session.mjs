// The official SDK against a running host: `node session.mjs HOST FOLDER json|protobuf websocket|http_stream|sse`, where
// FOLDER holds its `node_modules`. Ends with status 0 when everything happened as expected.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';

const [host, folder, format, transport] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const protobuf = format === 'protobuf';
const { Centrifuge } = require(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');
const websocket = require('ws');
const { EventSource } = require('eventsource');

// In Protobuf payloads are bytes; the members' common language is JSON.
const pack = (value) => (protobuf ? new TextEncoder().encode(JSON.stringify(value)) : value);
const unpack = (data) => (protobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

const PATIENCE = 20_000;
const within = (what, event) => {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: did not happen within ${PATIENCE} ms`)), PATIENCE);
  });
  return Promise.race([event, late]).finally(() => clearTimeout(timer));
};

// A list of what an emitter says, to be taken one by one.
const listen = (emitter, name) => {
  const came = [];
  const waiting = [];
  emitter.on(name, (event) => (waiting.length ? waiting.shift()(event) : came.push(event)));
  return {
    next: (what = name) =>
      within(what, came.length ? Promise.resolve(came.shift()) : new Promise((done) => waiting.push(done))),
    none: () => assert.deepEqual(came, []),
  };
};

const rest = async (method, path, key) => {
  const joint = path.includes('?') ? '&' : '?';
  const answer = await fetch(`http://${host}${path}${key ? `${joint}apikey=${key}` : ''}`, { method });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
};

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (claims, secret) => {
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
};
const now = () => Math.floor(Date.now() / 1000);

// What breaks the connections, the newest last.
const breakers = [];
class Socket extends websocket {
  constructor(...options) {
    super(...options);
    breakers.push(() => this.terminate());
  }
}
// The requests that last as long as a connection.
const stream = (url, options) => {
  const line = new AbortController();
  if (String(url).includes('/connection/')) breakers.push(() => line.abort(new Error('the network breaks')));
  return fetch(url, { ...options, signal: AbortSignal.any([options.signal, line.signal].filter(Boolean)) });
};
class Events extends EventSource {
  constructor(url, options) {
    super(url, { ...options, fetch: stream });
  }
}

const opened = [];
const client = (app, options) => {
  const at = (scheme) => `${scheme}://${host}/connection/${transport}?app=${app.app_id}`;
  const endpoint = transport === 'websocket' ? at('ws') : [{ transport, endpoint: at('http') }];
  const made = new Centrifuge(endpoint, {
    websocket: Socket,
    emulationEndpoint: `http://${host}/emulation`,
    fetch: stream,
    readableStream: ReadableStream,
    eventsource: Events,
    minReconnectDelay: 50,
    ...options,
  });
  made.on('error', (event) => console.log('error', JSON.stringify(event)));
  opened.push(made);
  return made;
};

const members = async () => {
  const app = await rest('POST', '/api/register');
  const { room_id: room } = await rest('POST', '/api/room', app.api_key);
  const users = [];
  for (let user = 0; user < 2; user += 1) {
    const { user_id: id } = await rest('POST', '/api/user', app.api_key);
    await rest('PUT', `/api/room/${room}/${id}/add`, app.api_key);
    users.push(id);
  }
  const [alice, bob] = users;
  const a = client(app, { token: sign({ sub: alice }, app.secret) });
  const heardByA = listen(a, 'publication');
  const subscribedA = listen(a, 'subscribed');
  const connectedA = listen(a, 'connected');
  a.connect();
  const own = await connectedA.next('Alice connects');
  assert.equal((await subscribedA.next('a server-side subscription')).channel, room);

  // Bob's token is too old: the SDK asks for another one and comes back.
  let asked = 0;
  const b = client(app, {
    token: sign({ sub: bob, exp: now() - 10 }, app.secret),
    getToken: async () => {
      asked += 1;
      return sign({ sub: bob, exp: now() + (asked === 1 ? 2 : 600) }, app.secret);
    },
  });
  const heardByB = listen(b, 'publication');
  const connectedB = listen(b, 'connected');
  const unsubscribedB = listen(b, 'unsubscribed');
  const subscribedB = listen(b, 'subscribed');
  const disconnectedB = listen(b, 'disconnected');
  const connectingB = listen(b, 'connecting');
  b.connect();
  await connectingB.next();
  await connectedB.next('Bob connects by a second token');
  await subscribedB.next('a server-side subscription');
  assert.equal(asked, 1);

  const said = { text: 'hello\n„Welt“', n: 1.5 };
  await a.publish(room, pack(said));
  for (const heard of [heardByA, heardByB]) {
    const publication = await heard.next();
    assert.equal(publication.channel, room);
    assert.deepEqual(unpack(publication.data), said);
    assert.deepEqual([publication.info.user, publication.info.client], [alice, own.client]);
  }

  const { clients } = await a.presence(room);
  assert.deepEqual(Object.values(clients).map((it) => it.user).sort(), [alice, bob].sort());
  assert.equal(clients[own.client].user, alice);
  assert.deepEqual(await a.presenceStats(room), { numClients: 2, numUsers: 2 });
  const { publications, offset, epoch } = await a.history(room, { limit: 1 });
  assert.deepEqual(publications.map((it) => [unpack(it.data), it.offset]), [[said, offset]]);
  assert.deepEqual((await a.history(room, { since: { offset, epoch }, limit: 9 })).publications, []);
  await assert.rejects(a.history(room, { since: { offset, epoch: 'never' } }), { code: 112 });
  await assert.rejects(a.rpc('add', pack({})), { code: 108 });
  await assert.rejects(a.publish('room_none', pack({})), { code: 103 });
  await a.send(pack({}));

  // The token of two seconds runs out, and is refreshed without an interruption.
  await within('the SDK refreshes the token', new Promise((done) => {
    const look = setInterval(() => {
      if (asked >= 2) {
        clearInterval(look);
        done();
      }
    }, 20);
  }));

  await rest('PUT', `/api/room/${room}/${bob}/remove`, app.api_key);
  await a.publish(room, pack('without Bob'));
  assert.equal(unpack((await heardByA.next()).data), 'without Bob');
  assert.equal((await unsubscribedB.next('a member is removed')).channel, room);
  heardByB.none();
  await rest('PUT', `/api/room/${room}/${bob}/add`, app.api_key);
  assert.equal((await subscribedB.next('a member is added')).channel, room);
  connectedB.none();

  await rest('DELETE', `/api/user/${bob}`, app.api_key);
  assert.equal((await disconnectedB.next('a user is deleted')).code, 4501);
  assert.equal(b.state, 'disconnected');

  const forged = client(app, { token: sign({ sub: alice }, 'not the secret') });
  const refused = listen(forged, 'disconnected');
  forged.connect();
  assert.equal((await refused.next('a forged token')).code, 3500);
};

const strangers = async () => {
  const app = await rest('POST', '/api/register');
  await rest('PUT', '/api/policy?rule=open', app.api_key);
  const [a, b] = ['ann', 'ben'].map((user) => client(app, { data: pack({ user }) }));
  const [inA, inB] = [a, b].map((it) => it.newSubscription('lobby', { joinLeave: true }));
  const [joins, leaves] = [listen(inA, 'join'), listen(inA, 'leave')];
  const heard = listen(inB, 'publication');
  for (const it of [a, b]) it.connect();
  inA.subscribe();
  await within('Ann subscribes', inA.ready());
  inB.subscribe();
  await within('Ben subscribes', inB.ready());
  let joined = await joins.next();
  if (joined.info.user === 'ann') joined = await joins.next();
  assert.equal(joined.info.user, 'ben');
  await inA.publish(pack([1, 2]));
  assert.deepEqual(unpack((await heard.next()).data), [1, 2]);

  // The network breaks: the SDK comes back by itself, and misses nothing.
  const back = listen(inB, 'subscribed');
  breakers.at(-1)();
  for (let n = 0; n < 20; n += 1) await inA.publish(pack(n));
  const { recovered, wasRecovering } = await back.next('Ben comes back');
  assert.deepEqual([recovered, wasRecovering], [true, true]);
  for (let n = 0; n < 20; n += 1) assert.equal(unpack((await heard.next()).data), n);
  heard.none();
  assert.equal((await inA.presenceStats()).numClients, 2);
  const unsubscribed = listen(inB, 'unsubscribed');
  inB.unsubscribe();
  assert.equal((await unsubscribed.next()).code, 0);
  assert.equal((await leaves.next()).info.user, 'ben');
  // The rule changes: strangers are out.
  const gone = listen(a, 'disconnected');
  await rest('PUT', '/api/policy?rule=members', app.api_key);
  assert.equal((await gone.next('the rule changes')).code, 4501);
};

await members();
await strangers();
for (const it of opened) it.disconnect();
console.log('ok');
