import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { AgentPlace } from '#cli/agent.ts';
import { USUAL_BPFFS } from '#cli/command.ts';
import { explainDeparture, type MeshPlan, planMesh, type UpOptions, welcome } from '#cli/up.ts';
import { holdingOf } from '#main/agent/holding.ts';
import { showProgress } from '#main/commands/progress.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { isLocked, lockText, takeLock } from '#platform/files/lock.ts';
import { claimDirectory, realPlace, removeMarked } from '#platform/files/marked-directory.ts';
import { removeSocket } from '#platform/files/mesh-traces.ts';
import { knownNodes, requireNode } from '#platform/files/node-register.ts';
import { requireDirectory } from '#platform/files/scan-directory.ts';
import { hostRanges, requireFreeRanges } from '#platform/linux/net/host-ranges.ts';
import { nextSignal } from '#platform/linux/process/service.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { sayReady, startInBackground } from '#platform/supervisor/background.ts';
import { runsWith } from '#platform/supervisor/part.ts';
import { describeEnding } from '#platform/supervisor/restart.ts';
import { RunningMesh, type RunningParts } from '#platform/supervisor/running-mesh.ts';
import { logSettings } from '#platform/telemetry/log.ts';
import { tell } from '#platform/telemetry/notices.ts';
import { waypointsDirectory } from '#protocol/api/places.ts';

/** Fixed by Node.js: the longest timer. It only keeps the process alive while every part waits for its restart. */
const FOREVER_MS = 2 ** 31 - 1;

/** `weft up`: control plane and agent as processes of their own, so that one can break or be replaced without the other. */
export async function up(told: UpOptions): Promise<number> {
  requireMachine();
  logSettings(process.env); // told once, and not by each part
  // Without links and dots: whoever goes on with its parts, or takes them away, may have started elsewhere.
  const [directory, run, state] = [told.directory, told.runDir, told.stateDir].map((path) => resolve(path));
  const options = { ...told, directory: directory ?? '', runDir: run ?? '', stateDir: state ?? '' };
  const plan = planMesh(options, hostname());
  requireDirectory(options.directory);
  return options.detach ? upInBackground(options, plan) : upHere(options, plan);
}

/** Errors: WEFT_UP_FAILED with the end of the log. */
async function upInBackground(options: UpOptions, plan: MeshPlan): Promise<number> {
  claimDirectory(options.runDir, { kind: 'run' });
  claimDirectory(options.stateDir, { kind: 'state', runDir: options.runDir });
  const words = process.argv.slice(2).filter((word) => word !== '--detach' && word !== '-d');
  const started = await showProgress('starting the mesh', () => startInBackground(WEFT_PROGRAM, words, plan.logFile));
  if ('log' in started) throw upFailed(started.log, plan.logFile);
  process.stdout.write(welcome(options, plan));
  return 0;
}

async function upHere(options: UpOptions, plan: MeshPlan): Promise<number> {
  const parts = await findParts(plan);
  const { pool4, pool6, runDir } = options;
  if (parts.agentPid === null) await requirePlace({ node: plan.node, runDir, bpffs: USUAL_BPFFS, cgroup: null, pool4, pool6 });
  claimDirectory(runDir, { kind: 'run' });
  claimDirectory(plan.nodeDir, { kind: 'node', node: plan.node });
  const lock = takeLock(plan.lockFile, `${process.pid}\n`);
  if (lock === null) throw alreadyRunning(`weft up has pid ${lockText(plan.lockFile).trim()}`);
  const alive = setInterval(() => {}, FOREVER_MS);
  // From here on Ctrl-C is heard: also while the parts are still starting, everything that did start is stopped.
  const asked = nextSignal();
  const mesh = new RunningMesh(WEFT_PROGRAM, plan, parts);
  try {
    await Promise.race([mesh.start(), mesh.departed, asked]);
    if (mesh.isUp) announce(options, plan);
    const outcome = await Promise.race([mesh.departed, asked]);
    if (typeof outcome === 'string') return 0;
    tell(explainDeparture({ ...outcome, ending: describeEnding(outcome.ending) }, mesh.isUp));
    return 0;
  } finally {
    // The second Ctrl-C: whoever cannot wait for connections to drain leaves, and weft uninstall removes the rest.
    nextSignal()
      .then(() => mesh.abandon())
      .catch(toLastResort);
    await mesh.stop();
    lock.release();
    removeFiles(plan, options.runDir);
    clearInterval(alive);
  }
}

function announce(options: UpOptions, plan: MeshPlan): void {
  tell(welcome(options, plan), 1);
  sayReady();
}

/** Before anything is started that would have to be ended again. Errors: WEFT_NODE_HELD, WEFT_POOL_OVERLAP. */
async function requirePlace(place: AgentPlace): Promise<void> {
  const wanted = await holdingOf(place);
  requireNode(wanted);
  requireFreeRanges(wanted, await hostRanges());
}

/**
 * The parts of a mesh that answer where this one is planned: those of this very mesh, which an earlier `weft up` left when it was
 * killed, are gone on with. A socket that nobody serves is no mesh. Errors: WEFT_ALREADY_RUNNING.
 */
export async function findParts({
  controlSocket,
  agentSocket,
  controlArgs,
  agentArgs,
  lockFile,
}: MeshPlan): Promise<RunningParts> {
  if (isLocked(lockFile)) throw alreadyRunning(`weft up has pid ${lockText(lockFile).trim()}`);
  return {
    controlPid: await findPart(controlSocket, controlArgs, () => controlClient(controlSocket).status()),
    agentPid: await findPart(agentSocket, agentArgs, () => agentClient(agentSocket).status()),
  };
}

async function findPart(socket: string, args: readonly string[], ask: () => Promise<{ pid: number }>): Promise<number | null> {
  try {
    const { pid } = await ask();
    if (runsWith(pid, args)) return pid;
  } catch (error) {
    if (error instanceof WeftError && /^WEFT_NO_(AGENT|CONTROL)$/.test(error.code)) return null;
    throw error;
  }
  throw alreadyRunning(`${socket} answers`);
}

function alreadyRunning(how: string): WeftError {
  return new WeftError('WEFT_ALREADY_RUNNING', `a mesh runs on this machine already: ${how}`, {
    remedy: 'use it, end it with weft uninstall, or choose another place with --run-dir and --state-dir',
  });
}

function upFailed(log: string, file: string): WeftError {
  return new WeftError('WEFT_UP_FAILED', 'the mesh did not come up', { cause: new Error(`\n${log}`), remedy: `see ${file}` });
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
