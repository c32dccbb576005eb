import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { explainDeparture, type MeshPlan, planMesh, type UpOptions, welcome } from '#cli/up.ts';
import { holdingOf } from '#main/agent/agent-process.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { claimDirectory, realPlace, removeMarked } from '#platform/files/marked-directory.ts';
import { removeSocket } from '#platform/files/mesh-traces.ts';
import { knownNodes, requireNode } from '#platform/files/node-register.ts';
import { hostRanges, requireFreeRanges } from '#platform/linux/net/host-ranges.ts';
import { nextSignal } from '#platform/linux/process/service.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { describeEnding } from '#platform/supervisor/restart.ts';
import { RunningMesh } from '#platform/supervisor/running-mesh.ts';
import { waypointsDirectory } from '#protocol/api/places.ts';

/** Fixed by Node.js: the longest timer. It only keeps the process alive while every part waits for its restart. */
const FOREVER_MS = 2 ** 31 - 1;

/** Where the agent of `weft up` pins, as it is not told otherwise. */
const BPFFS = '/sys/fs/bpf';

/** `weft up`: control plane and agent as processes of their own, so that one can break or be replaced without the other. */
export async function up(options: UpOptions): Promise<number> {
  requireMachine();
  const plan = planMesh(options, hostname());
  await refuseSecond(plan);
  const { pool4, pool6, runDir } = options;
  const wanted = await holdingOf({ node: plan.node, runDir, bpffs: BPFFS, cgroup: null, pool4, pool6 });
  requireNode(wanted);
  requireFreeRanges(wanted, await hostRanges());
  claimDirectory(runDir, { kind: 'run' });
  claimDirectory(plan.nodeDir, { kind: 'node', node: plan.node });
  const alive = setInterval(() => {}, FOREVER_MS);
  // From here on Ctrl-C is heard: also while the parts are still starting, everything that did start is stopped.
  const asked = nextSignal();
  const mesh = new RunningMesh(WEFT_PROGRAM, plan);
  try {
    await Promise.race([mesh.start(), mesh.departed, asked]);
    if (mesh.isUp) process.stdout.write(welcome(options, plan.node));
    const outcome = await Promise.race([mesh.departed, asked]);
    if (typeof outcome === 'string') return 0;
    process.stderr.write(explainDeparture({ ...outcome, ending: describeEnding(outcome.ending) }, mesh.isUp));
    return 0;
  } finally {
    // The second Ctrl-C: whoever cannot wait for connections to drain leaves, and weft uninstall removes the rest.
    nextSignal()
      .then(() => mesh.abandon())
      .catch(toLastResort);
    await mesh.stop();
    removeFiles(plan, options.runDir);
    clearInterval(alive);
  }
}

/** Returns when no part of a mesh answers where this one is planned; a socket that nobody serves is no mesh. Errors: WEFT_ALREADY_RUNNING. */
export async function refuseSecond({ controlSocket, agentSocket }: MeshPlan): Promise<void> {
  const answers = async (ask: () => Promise<unknown>): Promise<boolean> => {
    try {
      await ask();
      return true;
    } catch (error) {
      if (error instanceof WeftError && /^WEFT_NO_(AGENT|CONTROL)$/.test(error.code)) return false;
      throw error;
    }
  };
  for (const [socket, ask] of [
    [controlSocket, () => controlClient(controlSocket).status()],
    [agentSocket, () => agentClient(agentSocket).status()],
  ] as const) {
    if (await answers(ask)) {
      throw new WeftError('WEFT_ALREADY_RUNNING', `a mesh runs on this machine already: ${socket} answers`, {
        remedy: 'use it, end it with weft uninstall, or choose another place with --run-dir and --state-dir',
      });
    }
  }
}

/** The directory of the node goes with its agent; what is left belongs to this process or is nobody's. */
function removeFiles({ nodeDir, rootFile, tokenFile, controlSocket }: MeshPlan, runDir: string): void {
  for (const path of [rootFile, tokenFile]) rmSync(path, { force: true });
  removeSocket(controlSocket);
  removeMarked(waypointsDirectory(runDir), 'waypoints');
  // What the agent could not remove is known by the files about it, so they stay with it.
  if (!knownNodes().some((holding) => holding.runDir === realPlace(runDir))) removeMarked(nodeDir, 'node');
  if (!existsSync(nodeDir)) removeMarked(runDir, 'run');
}
