import { setTimeout as sleep } from 'node:timers/promises';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import type { OpenStream, Probe } from '#testbed/apps/probe-client.ts';
import type { Dial } from '#testbed/apps/probe-protocol.ts';
import { vip } from '#testbed/apps/shop.ts';
import { FAMILIES } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, expect } from './check.ts';
import { expectRefused } from './expectations.ts';
import { denyServiceAccount, dropConfig, putConfig } from './policies.ts';

const EFFECT_WITHIN_MS = 1_000;
const FILE = '90-check-deny-shopper.yaml';
/** Ten ticks before anything happens, to be sure that every stream is alive. */
const WARM_UP_MS = 500;
/** An untouched stream echoes every 50 ms; a second of silence on a busy machine would still be a notice taken. */
const SILENCE_MS_MAX = 1_000;

type NamedStream = { name: string; probe: Probe; dial: Dial; stream: OpenStream };

/** A new DENY closes what it denies, live, and nothing else; without it new connections get in again. */
export const policyChange: Check = {
  name: 'policy-change',
  path: '-',
  timeoutMs: 30_000,
  async run(mesh) {
    const hit = await openStreams(mesh, 'shopper');
    const untouched = await openStreams(mesh, 'clerk');
    try {
      await sleep(WARM_UP_MS);
      for (const one of [...hit, ...untouched]) await expectTicking(one);
      const closedMs = await closesDenied(mesh, hit);
      const openedMs = await opensAgain(mesh, hit);
      for (const one of untouched) await expectTicking(one);
      return `closed ${closedMs} ms after the file appeared (direct and hbone, IPv4 and IPv6), open again ${openedMs} ms after it went; ${untouched.length} other streams never paused`;
    } finally {
      await dropConfig(mesh.configDir, FILE);
      for (const { stream } of [...hit, ...untouched]) await stream.close().catch(() => {});
    }
  },
};

/** For the shopper on alpha the near service is direct and the far one hbone; for the clerk on beta the other way round. */
async function openStreams(mesh: Bookshop, client: string): Promise<NamedStream[]> {
  const probe = mesh.probe(client);
  return Promise.all(
    (['echo-near', 'echo-far'] as const).flatMap((service) =>
      FAMILIES.map(async (family) => {
        const name = `${client} to ${service} over IPv${family}`;
        const dial = vip(service, family);
        const stream = await probe.stream(dial);
        expect(typeof stream !== 'string', `${name}: ${String(stream)}`);
        return { name, probe, dial, stream };
      }),
    ),
  );
}

/** A stream that the policy does not concern must not even pause. */
async function expectTicking({ name, stream }: NamedStream): Promise<void> {
  const { open, how, ticksEchoed, gapMsMax } = await stream.state();
  expect(open, `${name} was closed (${String(how)})`);
  expect(ticksEchoed > 0 && gapMsMax < SILENCE_MS_MAX, `${name} was silent for ${gapMsMax} ms`);
}

/** Adds the policy; returns after how many milliseconds the last of the streams was closed. */
async function closesDenied(mesh: Bookshop, streams: readonly NamedStream[]): Promise<number> {
  const atMs = await putConfig(mesh.configDir, FILE, denyServiceAccount('check-deny-shopper', 'shopper'));
  const delays = await Promise.all(
    streams.map(async ({ name, stream }) => {
      const closed = await waitUntil(`end of ${name}`, 2 * EFFECT_WITHIN_MS, async () => {
        const { closedAtMs } = await stream.state();
        return closedAtMs;
      });
      const delayMs = closed - atMs;
      expect(delayMs <= EFFECT_WITHIN_MS, `${name} was closed only after ${delayMs} ms`);
      return delayMs;
    }),
  );
  const near = streams.filter(({ name }) => name.includes('echo-near'));
  for (const { probe, dial } of near) await expectRefused(probe, dial, EFFECT_WITHIN_MS);
  return Math.max(...delays);
}

/** Removes the policy; returns after how many milliseconds the last service let the client in again. */
async function opensAgain(mesh: Bookshop, streams: readonly NamedStream[]): Promise<number> {
  const atMs = await dropConfig(mesh.configDir, FILE);
  const delays = await Promise.all(
    streams.map(async ({ name, probe, dial }) => {
      await waitUntil(`new connection of ${name}`, 2 * EFFECT_WITHIN_MS, async () => (await probe.connect(dial)).error === null);
      const delayMs = Date.now() - atMs;
      expect(delayMs <= EFFECT_WITHIN_MS, `${name} was let in again only after ${delayMs} ms`);
      return delayMs;
    }),
  );
  return Math.max(...delays);
}
