// The official SDK hears a channel as differences, live and after its connection was cut:
// `node deltas.mjs HOST FOLDER json|protobuf APP TOKEN TOKEN`, where FOLDER holds its `node_modules`.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [host, folder, format, app, alice, bob] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const protobuf = format === 'protobuf';
const { Centrifuge } = require(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');
const websocket = require('ws');

const TEXT = 'a long text of which each publication changes a little '.repeat(20);

// In Protobuf payloads are bytes; the members' common language is JSON.
const pack = (value) => (protobuf ? new TextEncoder().encode(JSON.stringify(value)) : value);
const unpack = (data) => (protobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

// What breaks a connection.
const breakers = new Map();
const connect = async (token) => {
  let cut;
  class Socket extends websocket {
    constructor(...options) {
      super(...options);
      cut = () => this.terminate();
    }
  }
  const url = `ws://${host}/connection/websocket?app=${app}`;
  const client = new Centrifuge(url, { token, websocket: Socket, minReconnectDelay: 1, maxReconnectDelay: 5 });
  breakers.set(client, () => cut());
  client.connect();
  await client.ready(20_000);
  return client;
};

// What a subscription hears, in order.
const subscribe = async (client, options) => {
  const sub = client.newSubscription('news', { delta: 'fossil', ...options });
  const heard = [];
  let wake = () => {};
  sub.on('publication', ({ data, info }) => {
    heard.push(unpack(data));
    assert.ok(info.user && info.client, 'who said it');
    wake();
  });
  sub.subscribe();
  await sub.ready(20_000);
  const all = async (count) => {
    while (heard.length < count) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    assert.equal(heard.length, count);
  };
  return { sub, heard, all };
};

const speaker = await connect(alice);
const listener = await connect(bob);
const early = await subscribe(listener, { recoverable: true });
const numbered = (n) => ({ n, text: TEXT });
const say = async (from, to) => {
  for (let n = from; n < to; n += 1) await speaker.publish('news', pack(numbered(n)));
};
await say(0, 5);
await early.all(5);

// Another comes in: both go on, each from what it has.
const late = await connect(bob);
const later = await subscribe(late, {});
await say(5, 8);
await early.all(8);

// The connection is cut, and something is said before the SDK comes back.
const back = new Promise((resolve) => early.sub.once('subscribed', resolve));
breakers.get(listener)();
await say(8, 10);
assert.equal((await back).recovered, true);
await say(10, 13);
await early.all(13);
await later.all(8);
assert.deepEqual(early.heard, early.heard.map((_, n) => numbered(n)));
assert.deepEqual(later.heard, later.heard.map((_, n) => numbered(5 + n)));
for (const [{ sub }, publications, whole] of [[early, 13, 2], [later, 8, 1]]) {
  const stats = sub.deltaStats();
  assert.equal(stats.numPublications, publications);
  assert.ok(stats.numFullPayloads >= whole && stats.numDeltaPayloads >= 6, JSON.stringify(stats));
}
for (const client of [speaker, listener, late]) client.disconnect();
