import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { UninstallOptions } from '#cli/uninstall.ts';
import { cleanupNode } from '#main/agent/agent-process.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import { removeEmptyParents, removeIfEmpty } from '#platform/files/empty-parents.ts';
import { nodesBelow } from '#platform/files/run-dir.ts';
import { endProcess, isRunning } from '#platform/linux/process/processes.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { commandLog } from '#platform/telemetry/command-log.ts';
import { agentSocketPath, controlSocketPath, discoverySocketPath, waypointsDirectory } from '#protocol/api/places.ts';

/** What a directory must hold to be taken for the state of a control plane. */
const STATE_MARKS = ['root-key.pem', 'root-cert.pem', 'token-key.pem'];
/** Only for addresses that a dead agent's records do not name. */
const DEFAULT_POOLS = { pool4: '10.41.0.0/24', pool6: 'fd41:0:0:1::/64' };

/** `weft uninstall`: goes on after a failure, and tells all of them in the end. Errors: WEFT_UNINSTALL. */
export async function uninstall(options: UninstallOptions): Promise<number> {
  requireRoot('removing eBPF programs and network namespaces');
  const failures: unknown[] = [];
  let removed = 0;
  const attempt = async (done: string, remove: () => boolean | Promise<boolean>): Promise<void> => {
    try {
      if (!(await remove())) return;
      removed += 1;
      process.stdout.write(`${done}\n`);
    } catch (error) {
      failures.push(error);
    }
  };
  const { runDir, stateDir, keepState } = options;
  const controlPid = await stopWaypoints(controlSocketPath(runDir));
  for (const node of nodesWithTraces(options)) await attempt(`node ${node}: removed`, () => removeNode(node, options));
  if (controlPid !== null) await attempt('control plane: ended', () => endControl(controlPid));
  await attempt(`${runDir}: removed`, () => removeRunDir(runDir));
  if (!keepState) await attempt(`${stateDir}: removed`, () => removeStateDir(stateDir));
  removeEmptyParents(options.bpffs);
  if (removed === 0 && failures.length === 0) process.stdout.write('nothing to remove\n');
  if (failures.length === 0) return 0;
  throw new WeftError('WEFT_UNINSTALL', 'not everything could be removed', {
    cause: new AggregateError(failures),
    remedy: 'run weft uninstall again; it goes on where it stopped',
  });
}

/** Lets the control plane end its waypoints while their node is still there; its process id, null when it does not answer. */
async function stopWaypoints(socketPath: string): Promise<number | null> {
  if (!existsSync(socketPath)) return null;
  const control = controlClient(socketPath);
  try {
    const { pid } = await control.status();
    await control.stopWaypoints().catch(() => {}); // what is left of them goes with their node
    return pid;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'WEFT_NO_CONTROL') return null;
    throw error;
  }
}

/** Nodes with a directory of their own, also those of agents that are gone. */
function nodesWithTraces({ runDir, bpffs }: UninstallOptions): string[] {
  const pinned = entriesOf(join(bpffs, 'weft'));
  return [...new Set([...nodesBelow(runDir).map(({ node }) => node), ...pinned])].sort();
}

/** A running agent removes its node itself; after a dead one it is done here. */
async function removeNode(node: string, { runDir, bpffs }: UninstallOptions): Promise<boolean> {
  const agent = agentClient(agentSocketPath(runDir, node));
  try {
    const { pid } = await agent.status();
    await agent.cleanup();
    if (await eventually(() => !isRunning(pid), COMMAND.uninstallAgentMs)) return true;
    await endProcess(pid, COMMAND.uninstallControlMs);
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'WEFT_NO_AGENT') throw error;
  }
  await cleanupNode({ node, runDir, bpffs, cgroup: null, ...DEFAULT_POOLS }, commandLog('uninstall'));
  return true;
}

async function endControl(pid: number): Promise<boolean> {
  await endProcess(pid, COMMAND.uninstallControlMs);
  return true;
}

/** Only what Weft puts there is removed, and the directory itself when nothing else is in it. */
function removeRunDir(runDir: string): boolean {
  if (!existsSync(runDir)) return false;
  for (const path of [controlSocketPath(runDir), discoverySocketPath(runDir), waypointsDirectory(runDir)]) {
    rmSync(path, { recursive: true, force: true });
  }
  return removeIfEmpty(runDir);
}

/** Errors: WEFT_STATE_FOREIGN when the directory does not look like ours. */
function removeStateDir(stateDir: string): boolean {
  const entries = entriesOf(stateDir);
  if (!existsSync(stateDir)) return false;
  if (entries.length === 0) return removeIfEmpty(stateDir);
  if (!STATE_MARKS.some((mark) => entries.includes(mark))) {
    throw new WeftError('WEFT_STATE_FOREIGN', `${stateDir} does not look like the state of a control plane, so it stays`, {
      remedy: 'name the right directory with --state-dir, or keep it with --keep-state',
    });
  }
  rmSync(stateDir, { recursive: true });
  return true;
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
