import { FAMILIES, vip } from '#testbed/mesh/shop.ts';
import type { Probe } from '#testbed/probe/probe-client.ts';
import type { HttpAnswer, HttpRequest } from '#testbed/probe/protocol.ts';
import type { Check } from './check.ts';
import { expect, expectEqual } from './check.ts';

const REQUESTS = 1_000;
const CONCURRENCY = 8;
const SAMPLE = 20;
/** Share of v2 in percent, and how far it may be off. */
const V2_PERCENT = 10;
const POINTS_MAX = 5;

/** HTTP to a service with a waypoint follows its HTTPRoute and its request-level policy, from both nodes. */
export const waypoint: Check = {
  name: 'waypoint',
  path: 'waypoint',
  timeoutMs: 40_000,
  async run(mesh) {
    const shopper = mesh.probe('shopper');
    const weighted = await ask(shopper, 4, { count: REQUESTS });
    expectStatus(weighted, '200', REQUESTS);
    const v1 = weighted.versions['reviews/v1'] ?? 0;
    const v2 = weighted.versions['reviews/v2'] ?? 0;
    expectEqual(v1 + v2, REQUESTS, 'the number of answers of v1 and v2');
    const percent = (v2 / REQUESTS) * 100;
    expect(Math.abs(percent - V2_PERCENT) <= POINTS_MAX, `${percent} % of the answers came from v2, not ${V2_PERCENT} %`);
    for (const probe of [shopper, mesh.probe('clerk')]) {
      for (const family of FAMILIES) await checkRules(probe, family);
    }
    return `${v1} of v1 and ${v2} of v2 in ${REQUESTS}; the header chose v3 every time; DELETE was answered 403; from both nodes, IPv4 and IPv6`;
  },
};

async function checkRules(probe: Probe, family: 4 | 6): Promise<void> {
  const tester = await ask(probe, family, { count: SAMPLE, headers: { 'x-tester': 'red' } });
  expectStatus(tester, '200', SAMPLE);
  expectEqual(
    tester.versions['reviews/v3'] ?? 0,
    SAMPLE,
    `the number of answers of v3 for ${probe.name}'s header over IPv${family}`,
  );
  const forbidden = await ask(probe, family, { count: SAMPLE, method: 'DELETE' });
  expectStatus(forbidden, '403', SAMPLE);
  expect(!forbidden.body.includes('"service"'), 'a denied request was answered by the service');
}

function ask(probe: Probe, family: 4 | 6, options: Partial<HttpRequest>): Promise<HttpAnswer> {
  return probe.http({ ...vip('reviews', family), path: '/reviews?book=7', headers: {}, concurrency: CONCURRENCY, ...options });
}

function expectStatus({ statuses, errors }: HttpAnswer, status: string, count: number): void {
  expect(
    statuses[status] === count,
    `${count} times ${status} expected: got ${JSON.stringify(statuses)}, errors ${JSON.stringify(errors)}`,
  );
}
