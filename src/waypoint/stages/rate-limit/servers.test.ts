import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { endpointSet } from '#model/balancing/least-request.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { LimitAnswer } from '#model/traffic/global-limit.ts';
import { ownHttp2 } from '#platform/http2/own-http2.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Counters } from '#waypoint/self/counters.ts';
import { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import { ConnectionPool, type DialOutcome } from '#waypoint/upstream/connection-pool.ts';
import { LimitServers } from './servers.ts';

/** Asks a server that takes no connection: dials under way end when `refuse` is called. */
function unreachable(): { clock: SteppedClock; ask(): Promise<LimitAnswer>; dials: number; refuse(): void } {
  const clock = new SteppedClock();
  const endpoint = new UpstreamEndpoint(aWorkload('limits', ['10.0.0.9']), parseIp('10.0.0.9'), 80, null);
  const problem = { kind: 'connect-failure', details: 'refused', staleConnection: false, unprocessed: true } as const;
  const rig = { clock, dials: 0, refuse: (): void => {}, ask };
  const pool = new ConnectionPool({
    ...{ clock, http2: ownHttp2(clock), mishaps: SILENT_MISHAPS, counters: new Counters() },
    dial: () =>
      new Promise<DialOutcome>((resolve) => {
        rig.dials++;
        rig.refuse = () => resolve({ kind: 'failed', problem });
      }),
  });
  const set = endpointSet([endpoint]);
  const servers = new LimitServers({
    upstreams: {
      service: () => ({ appProtocol: 'grpc', set, everywhere: set, preference: [], location: { ...endpoint.workload } }),
      ownPool: () => pool,
    },
    effects: { clock, random: Math.random, mishaps: SILENT_MISHAPS, log: SILENT_LOG },
  });
  const descriptor = { entries: [['policy', 'a/b']], requests: 1, windowMs: 1_000 } as const;
  function ask(): Promise<LimitAnswer> {
    return servers.ask({ server: { service: 'infra/limits', port: 80 }, timeoutMs: 20 }, [descriptor]).answer;
  }
  return rig;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const whyOf = (answer: LimitAnswer | undefined) => (answer?.kind === 'error' ? answer.why : answer?.kind);

test('W59 a server that takes no connection gathers neither questions nor what waits for it, and costs no more than the time-out', async () => {
  const rig = unreachable();
  const { limitQuestionsMax, callsWaitingMax } = WAYPOINT;
  const first = Array.from({ length: limitQuestionsMax + 1 }, () => rig.ask());
  // Beyond the bound at once.
  assert.match(String(whyOf(await first.at(-1))), /are under way/);
  rig.clock.advance(20);
  assert.match(String(whyOf(await first[0])), /no answer within 20 ms/);
  await Promise.all(first);
  assert.equal(rig.dials, 1);
  // The dial still lasts, and as many wait for it as may: nobody else does.
  assert.ok(callsWaitingMax <= limitQuestionsMax);
  assert.match(String(whyOf(await rig.ask())), /too many wait/);
  // Then there is place again. A refused connection is tried once more.
  rig.refuse();
  await turn();
  const after = rig.ask();
  for (let tried = 0; tried < 2; tried++) {
    await turn();
    rig.refuse();
  }
  assert.match(String(whyOf(await after)), /refused/);
  assert.equal(rig.dials, 3);
});
