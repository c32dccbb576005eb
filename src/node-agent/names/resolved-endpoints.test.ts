import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { DNS } from '#model/settings/dns.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { ResolvedEndpoints, type ResolvedName } from './resolved-endpoints.ts';

const named = (name: string, hostname = 'db.example.com') => aWorkload(name, [], { hostname, tunnelProtocol: 'none' });

function setUp() {
  const clock = new SteppedClock();
  const asked: string[] = [];
  let answer: () => Promise<ResolvedName> = async () => ({ addresses: [], ttlMs: 0 });
  const changes: MeshDelta[] = [];
  const lines: string[] = [];
  const log = { ...SILENT_LOG, warn: (fields: object) => void lines.push(JSON.stringify(fields)) };
  const resolved = new ResolvedEndpoints({
    resolveName: (name) => {
      asked.push(name);
      return answer();
    },
    clock,
    random: () => 0.5,
    log,
    mishaps: SILENT_MISHAPS,
    changed: (delta) => void changes.push(delta),
  });
  const says = (addresses: string[], ttlMs = 60_000): void => {
    answer = async () => ({ addresses: addresses.map(parseIp), ttlMs });
  };
  const fails = (): void => {
    answer = () => Promise.reject(new Error('silent'));
  };
  /** What the changes so far come to: workload → addresses. */
  const now = (): Record<string, string> => {
    const found: Record<string, string> = {};
    for (const { workloads } of changes)
      for (const [, workload] of workloads) if (workload !== null) found[workload.name] = workload.addresses.join();
    return found;
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settled();
  };
  return { resolved, asked, lines, says, fails, now, pass };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('an endpoint with a name gets its addresses, and others when they change', async () => {
  const { resolved, asked, says, now, pass } = setUp();
  says(['9.9.9.9', '9.9.9.8', '9.9.9.9', '127.0.0.1']);
  const delta = deltaOf([named('a'), named('b')]);
  assert.deepEqual(
    [...resolved.translate(delta).workloads.values()].map((one) => one?.addresses),
    [[], []],
  );
  await settled();
  assert.deepEqual(
    [now(), asked.length],
    [{ a: '9.9.9.8,9.9.9.9', b: '9.9.9.8,9.9.9.9' }, 1],
    'one question for both, none of loopback',
  );
  says(['9.9.9.7']);
  await pass(59_999);
  assert.equal(asked.length, 1, 'not before its time');
  await pass(1);
  assert.deepEqual(now(), { a: '9.9.9.7', b: '9.9.9.7' });
  const again = resolved.translate(deltaOf([named('a')])).workloads.get('k//Pod/shop/a');
  assert.deepEqual(again?.addresses, ['9.9.9.7'], 'told again, it keeps what is known');
});

test('a silent nameserver takes nothing away, and is told once; a name that is gone has no address', async () => {
  const { resolved, lines, says, fails, now, pass } = setUp();
  says(['9.9.9.9'], 1);
  resolved.translate(deltaOf([named('a')]));
  await settled();
  fails();
  await pass(DNS.endpointRestMs);
  await pass(2 * DNS.endpointRestMs);
  assert.deepEqual([now(), lines.length], [{ a: '9.9.9.9' }, 1]);
  says([]);
  await pass(4 * DNS.endpointRestMs);
  assert.deepEqual(now(), { a: '' });
});

test('what left, or has an address or another name by now, is asked for no more', async () => {
  const { resolved, asked, says, pass } = setUp();
  says(['9.9.9.9']);
  resolved.translate(deltaOf([named('a')]));
  await settled();
  resolved.translate(deltaOf([aWorkload('a', ['10.0.0.1'])]));
  await pass(DNS.endpointMsMax);
  assert.deepEqual(asked, ['db.example.com']);
  resolved.translate(deltaOf([named('a', 'x.example.com')]));
  await settled();
  resolved.translate({ ...deltaOf([]), workloads: new Map([['k//Pod/shop/a', null]]) });
  await pass(DNS.endpointMsMax);
  assert.deepEqual(asked, ['db.example.com', 'x.example.com']);
});

test('a few names at once are asked for', async () => {
  const { resolved, asked, says } = setUp();
  says(['9.9.9.9']);
  const many = Array.from({ length: DNS.endpointsAtOnceMax + 5 }, (_, at) => named(`w${at}`, `n${at}.example.com`));
  resolved.translate(deltaOf(many));
  assert.equal(asked.length, DNS.endpointsAtOnceMax);
  await settled();
  assert.equal(asked.length, many.length);
  resolved.stop();
});
