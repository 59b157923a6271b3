// The official SDK calls methods of a tenant's policy: `node calls.mjs HOST FOLDER json|protobuf APP USER TOKEN`, where
// the app's policy is that of `tests/guests/policy`. Ends with status 0 when everything was answered as expected.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [host, folder, format, app, user, token] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const protobuf = format === 'protobuf';
const { Centrifuge } = require(protobuf ? 'centrifuge/build/protobuf' : 'centrifuge');
const websocket = require('ws');

const pack = (value) => (protobuf ? new TextEncoder().encode(JSON.stringify(value)) : value);
const unpack = (data) => (protobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

const client = new Centrifuge(`ws://${host}/connection/websocket?app=${app}`, { websocket, token });
client.connect();
await client.ready(20_000);
const asked = { text: 'hello\n„Welt“', n: [1.5, null] };
const { data } = await client.rpc('echo', pack(asked));
assert.deepEqual(unpack(data), { who: { tenant: app, user }, data: asked });
assert.deepEqual(unpack((await client.rpc('lines', pack('one'))).data), ['one']);
await assert.rejects(client.rpc('add', pack({})), { code: 104 });
await assert.rejects(client.rpc('refuse', pack('not_today')), { code: 103 });
await assert.rejects(client.rpc('trap', pack({})), { code: 100 });
// In JSON there is no other way to say it.
if (protobuf) await assert.rejects(client.rpc('echo', new TextEncoder().encode('{"half":')), { code: 107 });
const all = await Promise.all([3, 1, 2].map((n) => client.rpc('echo', pack(n))));
assert.deepEqual(all.map((it) => unpack(it.data).data), [3, 1, 2]);
client.disconnect();
console.log('ok');
