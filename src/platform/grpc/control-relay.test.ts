import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { relayToControl } from './control-relay.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-relay-'));
after(() => rmSync(root, { recursive: true }));
const path = join(root, 'discovery.sock');

async function echoServer(): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  return { port: (server.address() as AddressInfo).port, sockets };
}

test('bytes pass unchanged, only root may connect, and a listener on every address is dialled on loopback', async () => {
  const { port } = await echoServer();
  const stop = await relayToControl(path, `0.0.0.0:${port}`);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const client = connect(path);
  client.end('hello');
  assert.equal(Buffer.concat(await client.toArray()).toString(), 'hello');
  stop();
});

test('an end on either side ends the other, and stopping ends all', async () => {
  const { port, sockets } = await echoServer();
  const stop = await relayToControl(path, `127.0.0.1:${port}`);
  const dial = async (): Promise<Socket> => {
    const client = connect(path).on('error', () => {});
    client.write('x');
    await once(client, 'data');
    return client;
  };
  const [first, second, third] = [await dial(), await dial(), await dial()];
  sockets[0]?.destroy();
  await once(first, 'close');
  second.destroy();
  await once(sockets[1] as Socket, 'close');
  stop();
  await once(third, 'close');
});

test('nobody behind the relay: the connection ends', async () => {
  const { port } = await echoServer();
  const stop = await relayToControl(path, `127.0.0.1:${port === 1 ? 2 : 1}`);
  const client = connect(path).on('error', () => {});
  await once(client, 'close');
  stop();
});
