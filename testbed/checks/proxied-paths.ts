import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Probe } from '#testbed/apps/probe-client.ts';
import type { HttpAnswer, HttpRequest } from '#testbed/apps/probe-protocol.ts';
import { vip } from '#testbed/apps/shop.ts';
import { FAMILIES } from '#testbed/lab/app.ts';
import { wireOf } from '#testbed/nodes/plan.ts';
import { captured } from '#testbed/observers/capture.ts';
import { reportWire } from '#testbed/observers/wire-report.ts';
import { type Check, expect, expectEqual } from './check.ts';
import { expectEcho } from './expectations.ts';

const MARKER_COPIES = 4_000;

/** Between nodes there is TLS 1.3 on port 15008 and nothing else; the server still sees the client's address. */
export const hbone: Check = {
  name: 'hbone',
  path: 'hbone',
  timeoutMs: 40_000,
  async run(mesh) {
    const marker = randomBytes(32).toString('hex');
    const send = marker.repeat(MARKER_COPIES);
    const { file } = await captured(wireOf(mesh.plan), join(mesh.plan.runDir, 'hbone.pcap'), 'tcp', async () => {
      // A workload that never called before: its handshake is in the capture.
      const courier = await mesh.runProbe('courier', 'alpha');
      try {
        for (const family of FAMILIES) await expectEcho(courier, mesh.app('courier'), family, vip('echo-far', family), { send });
      } finally {
        await mesh.stopWorkload('courier');
      }
    });
    const { problems, handshakes, encryptedBytes } = reportWire(file);
    expect(problems.length === 0, `on the link: ${problems.slice(0, 3).join('; ')}`);
    expect(handshakes > 0, 'no TLS 1.3 handshake in the capture');
    // Every copy crossed twice per family: what is encrypted must have room for it.
    const sentBytes = send.length * 2 * FAMILIES.length;
    expect(encryptedBytes >= sentBytes, `only ${encryptedBytes} encrypted bytes on the link for ${sentBytes} sent and echoed`);
    expect(!file.includes(marker), 'the payload is readable on the link');
    return `${handshakes} TLS 1.3 handshakes, ${encryptedBytes} encrypted bytes to port 15008 and nothing else on the link; the server saw the client's address`;
  },
};

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

/** What the route and the policy of the service say about single requests: a header, and a method. */
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
