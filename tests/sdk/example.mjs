// A first steps program as the SDK's documentation shows them: an address, a token, a channel, and nothing of apps.
// `node example.mjs HOST FOLDER TOKEN`, where FOLDER holds its `node_modules`. Says `ready` once it hears the channel,
// and ends with status 0 when its own publication and that of a backend came.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [host, folder, token] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { Centrifuge } = require('centrifuge');
const address = `ws://${host}/connection/websocket`;
const options = { websocket: require('ws') };

setTimeout(() => {
  console.error('not everything happened in time');
  process.exit(1);
}, 30_000).unref();

const heard = (subscription) => {
  const came = [];
  return new Promise((done) => {
    subscription.on('publication', ({ data }) => {
      came.push(data);
      if (came.length === 2) done(came);
    });
  });
};

const named = new Centrifuge(address, { ...options, token });
const nameless = new Centrifuge(address, options);
const mine = named.newSubscription('news:all/2026', { joinLeave: true });
const theirs = nameless.newSubscription('news:all/2026');
const both = Promise.all([heard(mine), heard(theirs)]);
const came = new Promise((done) => mine.on('join', ({ info }) => info.user === '' && done()));
mine.subscribe();
named.connect();
await mine.ready();
theirs.subscribe();
nameless.connect();
await theirs.ready();
await came;
await mine.publish({ input: 'hello' });
console.log('ready');
const expected = [{ input: 'hello' }, { value: 3 }];
assert.deepEqual(await both, [expected, expected]);

const { clients } = await theirs.presence();
assert.deepEqual(Object.values(clients).map(({ user }) => user).sort(), ['', '42']);
const { publications } = await theirs.history({ limit: 10 });
assert.deepEqual(publications.map(({ data }) => data), expected);
named.disconnect();
nameless.disconnect();
