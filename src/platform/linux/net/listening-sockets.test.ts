import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { listeningIn, portHolder } from './listening-sockets.ts';

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
`;

const listeningInodes = (table: string, port: number): string[] =>
  listeningIn(table).flatMap((one) => (one.port === port ? [one.inode] : []));

test('H16: of the sockets of a port, those that listen hold it', () => {
  assert.deepEqual(listeningInodes(TABLE, 8_080), ['4711']);
  assert.deepEqual(listeningInodes(TABLE, 80), ['4713']);
  assert.deepEqual(listeningInodes(TABLE, 8_081), []);
});

test('H16: a port of this process is one that it published; one that nobody has is nobody’s', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.match(portHolder(port) ?? '', /^another workload that is published there/);
  server.close();
  await once(server, 'close');
  assert.equal(portHolder(port), null);
  t.diagnostic(`port ${port}`);
});
