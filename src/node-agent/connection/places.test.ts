import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { type Log, SILENT_LOG } from '#model/effects/log.ts';
import { ProcessShares } from '#model/share/process-shares.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { asStream, memoryConnection, settle } from '#node-agent/memory-sockets.testing.ts';
import { Places } from './places.ts';

const holder = (name: string) => ({ share: name === 'greedy' ? 1 : 2, name, namespace: 'shop' });

/** Twenty places for four workloads: one is assured to each, and fifteen are open. */
function setUp() {
  const lines: Record<string, unknown>[] = [];
  const log: Log = { ...SILENT_LOG, warn: (fields) => void lines.push({ ...fields }) };
  const meters = new Meters('agent');
  const streams: ByteStream[] = [];
  let port = 0;
  const shares = new ProcessShares(20);
  shares.holders = 4;
  const places = new Places(shares, { log, meters });
  const admit = places.admitted('destination', (_, taken: ByteStream) => streams.push(taken));
  const arrive = (name: string): ByteStream => {
    const ends = memoryConnection({ ip: parseIp('10.9.9.9'), port: ++port }, { ip: parseIp('10.0.0.1'), port: 80 });
    ends.client.on('error', () => {});
    const stream = asStream(ends.server);
    admit(holder(name), stream);
    return stream;
  };
  return { lines, meters, places, streams, arrive };
}

test('S16: sockets beyond a share are reset, counted and told; others have their places', () => {
  const { lines, meters, streams, arrive, places } = setUp();
  const arrived = Array.from({ length: 40 }, () => arrive('greedy'));
  assert.deepEqual([streams.length, arrived.filter(({ isOver }) => isOver).length, places.size], [15, 25, 15]);
  assert.deepEqual([meters.total('weft_refusals_total'), lines.length], [25, 25]);
  const { cause, connections, direction, 'dst.workload': workload } = lines[0] ?? {};
  assert.deepEqual([cause, connections, direction, workload], ['share', 15, 'inbound', 'greedy']);
  arrive('modest');
  assert.equal(streams.length, 16);
});

test('a place is free again when its socket has closed', async () => {
  const { streams, arrive, places } = setUp();
  for (let n = 0; n < 40; n++) arrive('greedy');
  streams[0]?.reset();
  await settle();
  assert.equal(places.size, 14);
  arrive('greedy');
  assert.equal(places.size, 15);
});

test('work holds its place until it ends, however it does', async () => {
  const { places } = setUp();
  const refused: string[] = [];
  const refuse = (): void => void refused.push('refused');
  const { promise, resolve } = Promise.withResolvers<void>();
  const running = Array.from({ length: 16 }, () => places.during(holder('greedy'), 'destination', () => promise, refuse));
  assert.deepEqual([places.size, refused.length], [15, 1]);
  resolve();
  await Promise.all(running);
  await assert.rejects(
    places.during(holder('greedy'), 'source', () => Promise.reject(new Error('broken')), refuse),
    /broken/,
  );
  assert.deepEqual([places.size, refused.length], [0, 1]);
});
