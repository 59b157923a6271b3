// The official SDK hears some publications of a channel, by their tags, live and after its connection was cut:
// `node filters.mjs HOST FOLDER json|protobuf APP KEY TOKEN`, where FOLDER holds its `node_modules`.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [host, folder, format, app, key, token] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const protobuf = format === 'protobuf';
const { Centrifuge } = require(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');
const websocket = require('ws');
const unpack = (data) => (protobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

setTimeout(() => {
  console.error('not everything happened in time');
  process.exit(1);
}, 30_000).unref();

let cut;
class Socket extends websocket {
  constructor(...options) {
    super(...options);
    cut = () => this.terminate();
  }
}
const url = `ws://${host}/connection/websocket?app=${app}`;
const client = new Centrifuge(url, { token, websocket: Socket, minReconnectDelay: 1, maxReconnectDelay: 5 });
const tagsFilter = {
  op: 'and',
  nodes: [
    { key: 'ticker', cmp: 'in', vals: ['BTC', 'ETH'] },
    { key: 'price', cmp: 'gt', val: '100' },
  ],
};
const sub = client.newSubscription('prices', { tagsFilter });
const heard = [];
let wake = () => {};
sub.on('publication', ({ data, tags }) => {
  assert.ok(tags.ticker && tags.price, 'the tags come with it');
  heard.push(unpack(data));
  wake();
});
sub.subscribe();
client.connect();
await sub.ready(20_000);

const publish = async (ticker, price) => {
  const body = JSON.stringify({ channel: 'prices', data: `${ticker} ${price}`, tags: { ticker, price } });
  const answer = await fetch(`http://${host}/api/publish`, { method: 'POST', headers: { 'X-API-Key': key }, body });
  assert.ok((await answer.json()).result.offset > 0);
};
const all = async (...expected) => {
  while (heard.length < expected.length) {
    await new Promise((resolve) => {
      wake = resolve;
    });
  }
  assert.deepEqual(heard, expected);
};
await publish('BTC', '99');
await publish('BTC', '101');
await publish('SOL', '200');
await publish('ETH', '150');
await all('BTC 101', 'ETH 150');

const again = new Promise((resolve) => client.once('connecting', resolve));
cut();
await again;
await publish('BTC', '1');
await publish('ETH', '900');
await publish('SOL', '900');
await sub.ready(20_000);
await publish('BTC', '300');
await all('BTC 101', 'ETH 150', 'ETH 900', 'BTC 300');
client.disconnect();
