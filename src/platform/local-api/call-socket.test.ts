import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { callSocket } from './call-socket.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-unix-http-'));
after(() => rmSync(root, { recursive: true }));
let servers = 0;

async function serve(listener: RequestListener): Promise<string> {
  servers += 1;
  const socketPath = join(root, `${servers}.sock`);
  const server = createServer(listener).listen(socketPath);
  await once(server, 'listening');
  after(() => server.close());
  return socketPath;
}

const absent = { code: 'WEFT_AWAY', what: 'the agent', remedy: 'start it' };
const get = (socketPath: string, timeoutMs = 5_000) =>
  callSocket({ socketPath, method: 'GET', path: '/v1/status', timeoutMs, absent });

test('a body is sent and answered as JSON', async () => {
  const socketPath = await serve(async (request, response) => {
    const parts = await request.toArray();
    response.end(JSON.stringify({ method: request.method, path: request.url, got: JSON.parse(Buffer.concat(parts).toString()) }));
  });
  const answer = await callSocket({
    socketPath,
    method: 'POST',
    path: '/v1/workloads',
    body: { name: 'a' },
    timeoutMs: 5_000,
    absent,
  });
  assert.deepEqual(answer, { method: 'POST', path: '/v1/workloads', got: { name: 'a' } });
});

test('204 is undefined', async () => {
  const socketPath = await serve((_, response) => response.writeHead(204).end());
  assert.equal(await get(socketPath), undefined);
});

test('a refusal keeps its code, sentence and remedy', async () => {
  const error = { code: 'WEFT_EXAMPLE', message: 'no', remedy: 'ask again' };
  const socketPath = await serve((_, response) => response.writeHead(409).end(JSON.stringify(error)));
  await assert.rejects(get(socketPath), error);
});

test('a refusal without a body names the call', async () => {
  const socketPath = await serve((_, response) => response.writeHead(404).end());
  await assert.rejects(get(socketPath), { code: 'WEFT_ANSWER', message: 'GET /v1/status was answered 404' });
});

test('what is not JSON is refused', async () => {
  const socketPath = await serve((_, response) => response.end('<html>'));
  await assert.rejects(get(socketPath), { code: 'WEFT_ANSWER' });
});

test('a missing socket is told as the caller wants it', async () => {
  const socketPath = join(root, 'absent.sock');
  await assert.rejects(get(socketPath), {
    code: 'WEFT_AWAY',
    message: `the agent does not answer on ${socketPath}`,
    remedy: 'start it',
  });
});

test('a server that hangs up is unreachable', async () => {
  const socketPath = await serve((request) => request.socket.destroy());
  await assert.rejects(get(socketPath), { code: 'WEFT_AWAY' });
});

test('a server that never answers is given up', async () => {
  const socketPath = await serve(() => {});
  await assert.rejects(get(socketPath, 20), { code: 'WEFT_AWAY', cause: /within 0\.02 s/ });
});
