import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Answer, listenForRoot, requireFreeSocket, serveLocalSocket } from './serve-socket.ts';

const before = process.umask();
const ECHO: Answer = async (method, path, body) => ({ status: 200, body: { method, path, body } });

/** A path for a socket, gone after the test. */
function aPath(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-local-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'agent.sock');
}

async function serving(t: TestContext, answer: Answer = ECHO): Promise<string> {
  const path = aPath(t);
  const close = await serveLocalSocket(path, answer);
  t.after(close);
  return path;
}

async function call(socketPath: string, method: string, path: string, body = '') {
  const outgoing = request({ socketPath, method, path });
  outgoing.end(body);
  const [response] = await once(outgoing, 'response');
  const parts: Buffer[] = await response.toArray();
  return { status: response.statusCode, type: response.headers['content-type'], text: Buffer.concat(parts).toString() };
}

test('a request is answered with status and JSON', async (t) => {
  const { status, type, text } = await call(await serving(t), 'POST', '/v1/workloads', '{"a":1}');
  assert.deepEqual(
    [status, type, JSON.parse(text)],
    [200, 'application/json', { method: 'POST', path: '/v1/workloads', body: '{"a":1}' }],
  );
});

test('an answer without a body has none', async (t) => {
  const path = await serving(t, async () => ({ status: 204, body: null }));
  assert.deepEqual(await call(path, 'DELETE', '/v1/workloads/a/b').then(({ status, text }) => [status, text]), [204, '']);
});

test('a body over the limit is refused, and the next request is answered', async (t) => {
  const path = await serving(t);
  const refused = await call(path, 'POST', '/', 'x'.repeat(64 * 1024 + 1));
  assert.deepEqual([refused.status, JSON.parse(refused.text).code], [413, 'WEFT_API_BODY']);
  assert.equal((await call(path, 'POST', '/', 'x'.repeat(64 * 1024))).status, 200);
});

test('bytes of a body that was cut in the middle of a letter are put together again', async (t) => {
  const path = await serving(t);
  const outgoing = request({ socketPath: path, method: 'POST', path: '/' });
  const euro = Buffer.from('€');
  outgoing.write(euro.subarray(0, 1));
  outgoing.end(euro.subarray(1));
  const [response] = await once(outgoing, 'response');
  assert.equal(JSON.parse(Buffer.concat(await response.toArray()).toString()).body, '€');
});

test('only root may open the socket', async (t) => {
  assert.equal(statSync(await serving(t)).mode & 0o777, 0o600);
});

test('a socket that somebody serves is not taken over', async (t) => {
  const path = await serving(t);
  await assert.rejects(serveLocalSocket(path, ECHO), { code: 'WEFT_ALREADY_RUNNING' });
  await assert.rejects(requireFreeSocket(path), { code: 'WEFT_ALREADY_RUNNING' });
  assert.equal((await call(path, 'GET', '/')).status, 200);
});

test('a socket that a dead process left is replaced', async (t) => {
  const path = aPath(t);
  writeFileSync(path, ''); // as after a crash: a name that nobody listens behind
  await requireFreeSocket(path);
  t.after(await serveLocalSocket(path, ECHO));
  assert.equal((await call(path, 'GET', '/')).status, 200);
});

test('a directory that is not there is told with the option that names it', async (t) => {
  await assert.rejects(serveLocalSocket(join(aPath(t), 'missing', 'agent.sock'), ECHO), {
    code: 'WEFT_SOCKET_PATH',
    remedy: 'check --run-dir',
  });
});

test('closing ends connections that nobody uses, and frees the path', async (t) => {
  const path = aPath(t);
  const close = await serveLocalSocket(path, ECHO);
  const idle = connect(path);
  await once(idle, 'connect');
  const ended = once(idle, 'close');
  idle.resume();
  await close();
  await ended;
  await requireFreeSocket(path);
});

test('a client that goes away before its request is whole does no harm', async (t) => {
  const path = await serving(t);
  const broken = connect(path);
  await once(broken, 'connect');
  broken.write('POST / HTTP/1.1\r\nhost: agent\r\ncontent-length: 100\r\n\r\nhalf');
  broken.destroy();
  await once(broken, 'close');
  assert.equal((await call(path, 'GET', '/')).status, 200);
});

test('a server of another kind counts as somebody', async (t) => {
  const path = aPath(t);
  const other = createServer((socket) => socket.destroy()).listen(path);
  t.after(() => other.close());
  await once(other, 'listening');
  await assert.rejects(requireFreeSocket(path), { code: 'WEFT_ALREADY_RUNNING' });
});

test('the socket is for root alone from the moment it is there', async (t) => {
  const path = aPath(t);
  const server = createServer();
  t.after(() => server.close());
  const listening = listenForRoot(server, path);
  // Before anything that listen() left for later has run.
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await listening;
  assert.equal(process.umask().toString(8), before.toString(8));
});
