import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Header } from '#protocol/http/v2/field.ts';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { attackProgram } from './dialling.testing.ts';
import { AttackedMesh } from './mesh.testing.ts';
import { type Answer2, answers2, boundServiceYaml, GATEWAY_YAML, requests2, say, waypointLives } from './waypoint.testing.ts';

const SETTLE_MS = 10_000;
const VIP2 = '10.96.18.1';
const VIP1 = '10.96.18.2';

/** Fields that are of one connection, or that decide how a message is read: none of them is a trailer's to say. */
const NO_TRAILERS: readonly Header[] = [
  ['http2-settings', 'x'],
  ['connection', 'close'],
  ['keep-alive', 'x'],
  ['proxy-connection', 'close'],
  ['transfer-encoding', 'chunked'],
  ['upgrade', 'h2c'],
  ['te', 'gzip'],
  ['host', 'other'],
  ['content-length', '3'],
  ['authorization', 'x'],
  [':path', '/other'],
  [':status', '200'],
  ['', 'x'],
  ['Upper', 'x'],
  ['a b', 'x'],
  ['line', 'a\r\nhttp2-settings: x'],
  ['nul', 'a\0b'],
  ['high', 'a\xff'],
  ['long', 'x'.repeat(60_000)],
];

/** One request of one client, whose trailers one side reads and the other cannot write. */
describe('trailers', { concurrency: true }, () => {
  let mesh: AttackedMesh;
  let client: App;
  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'two.yaml': boundServiceYaml('two', VIP2, 'raw', 'kubernetes.io/h2c', 7000),
      'one.yaml': boundServiceYaml('one', VIP1, 'raw', 'http', 7001),
    });
    [client] = await Promise.all([
      mesh.start({ name: 'client', node: 'alpha', command: attackProgram('raw-client') }),
      mesh.start({ name: 'raw', node: 'beta', command: attackProgram('raw-http-server') }),
    ]);
    await mesh.lab.waypointsReady();
    for (const vip of [VIP2, VIP1])
      await waitUntil('the waypoint', SETTLE_MS, async () => (await post(vip, '/whole', null))?.status === '200');
  });
  after(() => mesh?.down());

  const head = (method: string, path: string): Header[] => [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'two'],
  ];
  const post = async (vip: string, path: string, trailers: readonly Header[] | null): Promise<Answer2 | undefined> => {
    const request = trailers === null ? { head: head('GET', path) } : { head: head('POST', path), body: 'body', trailers };
    return answers2(await say(client, vip, requests2([request]))).get(1);
  };
  /** The next request, of a connection of its own, finds the same waypoint. */
  const goesOn = async (): Promise<void> => {
    assert.equal((await post(VIP2, '/whole', null))?.status, '200');
    await waypointLives(mesh);
  };
  /** What the app heard of a request; null: it was answered by nobody, or with an error. */
  const heardOf = (status: string | undefined, body: string | undefined): { body: string; trailers: Header[] } | null =>
    status === '200' ? JSON.parse(body ?? '') : null;

  for (const [name, value] of NO_TRAILERS) {
    const shown = JSON.stringify(`${name}: ${value.slice(0, 40)}`);
    const trailers: Header[] = [
      [name, value],
      ['good', 'yes'],
    ];
    const passes = name === 'high' ? trailers : trailers.slice(1);

    test(`S18: a trailer ${shown} over HTTP/2: the waypoint lives, what may go on goes on`, async () => {
      const answer = await post(VIP2, '/whole', trailers);
      const heard = heardOf(answer?.status, answer?.body);
      // Where HTTP/2 itself forbids the field, the request is none.
      if (heard !== null) assert.deepEqual(heard, { path: '/whole', body: 'body', trailers: passes });
      else assert.match(answer?.status ?? '', /^(?:4\d\d)?$/);
      if (name === 'http2-settings') assert.ok(heard !== null, 'it is answered');
      await post(VIP1, '/whole', trailers); // the same towards an app of HTTP/1
      await goesOn();
    });

    test(`S18: a trailer ${shown} over HTTP/1: the same`, async () => {
      const lines = trailers.map(([field, text]) => `${field}: ${text}\r\n`).join('');
      const request = `POST /whole HTTP/1.1\r\nhost: two\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n${lines}\r\n`;
      const text = (await say(client, VIP2, Buffer.from(request, 'latin1'))).bytes.toString('utf8');
      const [, status, body] = /^HTTP\/1\.1 (\d+) [\s\S]*?\r\n\r\n(?:[0-9a-f]+\r\n)?(.*)/.exec(text) ?? [];
      // Trailers of HTTP/1 go no further; what is not a line of one ends the request.
      if (status === '200') assert.deepEqual(heardOf(status, body), { path: '/whole', body: 'body', trailers: [] });
      else assert.equal(status, '400');
      if (name === 'http2-settings') assert.equal(status, '200');
      await goesOn();
    });
  }

  test('S18: an answer with such trailers: its client has the answer, and those that may go on', async () => {
    assert.deepEqual(await post(VIP2, '/trailers', null), {
      status: '200',
      body: 'part',
      trailers: [['good', 'yes']],
      whole: true,
    });
    const request = 'GET /trailers HTTP/1.1\r\nhost: two\r\nte: trailers\r\n\r\n';
    assert.match((await say(client, VIP2, request)).bytes.toString(), /^HTTP\/1\.1 200 (?!.*http2-settings).*part/s);
    assert.equal((await post(VIP2, '/forbidden-trailers', null))?.whole, false, 'what HTTP/2 forbids breaks the answer off');
    await goesOn();
  });
});
