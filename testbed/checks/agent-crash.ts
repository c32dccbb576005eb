import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PORT } from '#model/mesh/ports.ts';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import type { OpenStream } from '#testbed/apps/probe-client.ts';
import { vip } from '#testbed/apps/shop.ts';
import { FAMILIES } from '#testbed/lab/app.ts';
import { wireOf } from '#testbed/nodes/plan.ts';
import { captured } from '#testbed/observers/capture.ts';
import { readCapture } from '#testbed/observers/pcap.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, expect } from './check.ts';
import { agentPid, expectEcho, expectNoEcho } from './expectations.ts';

/** Twenty ticks of a stream. */
const WATCH_MS = 1_000;
const TICKS_MIN = 10;
const BACK_WITHIN_MS = 20_000;

/** Without the agent, what the kernel carries goes on, what needs the agent is refused; a new agent takes over by itself. */
export const agentCrash: Check = {
  name: 'agent-crash',
  path: '-',
  timeoutMs: 60_000,
  async run(mesh) {
    const streams = await Promise.all(
      FAMILIES.map(async (family) => {
        const stream = await mesh.probe('shopper').stream(vip('echo-near', family));
        expect(typeof stream !== 'string', `no stream over IPv${family}: ${String(stream)}`);
        return stream;
      }),
    );
    await callNear(mesh);
    process.kill(await agentPid(mesh, 'alpha'), 'SIGKILL');
    await mesh.agent('alpha').stop();
    const refusal = await whileDead(mesh, streams).finally(() => mesh.startAgent('alpha'));
    await allPathsBack(mesh);
    for (const stream of streams) await expectTicks(stream);
    for (const stream of streams) await stream.close();
    return `without the agent an open direct stream ticked on and new direct calls worked, hbone was refused (${refusal}) with no byte in the clear; after the restart every path works again`;
  },
};

/** Everything is tried under a capture: a refusal must come before a byte leaves the node. Returns the refusals in words. */
async function whileDead(mesh: Bookshop, streams: readonly OpenStream[]): Promise<string> {
  const path = join(mesh.plan.runDir, 'agent-crash.pcap');
  const filter = `tcp and not port ${PORT.hbone}`;
  const { result: refusals, file } = await captured(wireOf(mesh.plan), path, filter, async () => {
    const answers = [];
    for (const family of FAMILIES) answers.push(await expectNoEcho(mesh.probe('shopper'), vip('echo-far', family)));
    await callNear(mesh);
    for (const stream of streams) await expectTicks(stream);
    return answers.map(({ error, stage }) => `${String(error)} at ${stage}`);
  });
  const leaked = readCapture(file).segments;
  expect(leaked.length === 0, `${leaked.length} packets left the node outside of HBONE`);
  return refusals.join(', ');
}

/** New direct connections; the verdict was cached while the agent lived. */
async function callNear(mesh: Bookshop): Promise<void> {
  for (const family of FAMILIES) await expectEcho(mesh.probe('shopper'), mesh.app('shopper'), family, vip('echo-near', family));
}

/** A stream that merely stays open is not enough: its bytes must go there and back. */
async function expectTicks(stream: OpenStream): Promise<void> {
  const before = await stream.state();
  await sleep(WATCH_MS);
  const after = await stream.state();
  expect(after.open, `an open direct stream was closed (${String(after.how)})`);
  const ticks = after.ticksEchoed - before.ticksEchoed;
  expect(ticks >= TICKS_MIN, `only ${ticks} ticks came back within ${WATCH_MS} ms`);
}

/** The first call of each path may come before the new agent knows the mesh; from then on every one must work. */
async function allPathsBack(mesh: Bookshop): Promise<void> {
  const shopper = mesh.probe('shopper');
  await waitUntil(
    'hbone call after the restart',
    BACK_WITHIN_MS,
    async () => (await shopper.connect(vip('echo-far', 4))).error === null,
  );
  await waitUntil('waypoint answer after the restart', BACK_WITHIN_MS, async () => {
    const { statuses } = await shopper.http({ ...vip('reviews', 4), path: '/reviews' });
    return statuses['200'] === 1;
  });
  await callNear(mesh);
  for (const family of FAMILIES) {
    await expectEcho(shopper, mesh.app('shopper'), family, vip('echo-far', family));
    await expectEcho(mesh.probe('clerk'), mesh.app('clerk'), family, vip('echo-near', family));
  }
}
