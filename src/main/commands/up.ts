import { mkdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { explainDeparture, type MeshPlan, planMesh, type UpOptions, welcome } from '#cli/up.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { removeIfEmpty } from '#platform/files/run-dir.ts';
import { nextSignal } from '#platform/linux/process/service.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { describeEnding } from '#platform/supervisor/restart.ts';
import { RunningMesh } from '#platform/supervisor/running-mesh.ts';
import { discoverySocketPath, waypointRootPath, waypointsDirectory } from '#protocol/api/places.ts';

/** Fixed by Node.js: the longest timer. It only keeps the process alive while every part waits for its restart. */
const FOREVER_MS = 2 ** 31 - 1;

/** `weft up`: control plane and agent as processes of their own, so that one can break or be replaced without the other. */
export async function up(options: UpOptions): Promise<number> {
  requireMachine();
  const plan = planMesh(options, hostname());
  await refuseSecond(plan);
  mkdirSync(plan.nodeDir, { recursive: true, mode: 0o700 });
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
  for (const path of [rootFile, tokenFile, controlSocket, discoverySocketPath(runDir), waypointRootPath(runDir)])
    rmSync(path, { force: true });
  for (const directory of [nodeDir, waypointsDirectory(runDir), runDir]) removeIfEmpty(directory);
}
