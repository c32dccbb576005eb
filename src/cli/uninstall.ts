import { join } from 'node:path';
import type { Command } from 'commander';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import type { AgentClient } from '#protocol/api/agent.ts';
import type { ControlClient } from '#protocol/api/control.ts';
import { controlSocketPath, discoverySocketPath, waypointsDirectory } from '#protocol/api/places.ts';
import { type Act, bpffsOption, makeCommand, runDirOption, stateDirOption } from './command.ts';

/** What `weft uninstall` is told. */
export type UninstallOptions = { runDir: string; stateDir: string; bpffs: string; keepState: boolean };

/** `weft uninstall`: takes this machine out of the mesh. */
export function uninstallCommand(act: Act<UninstallOptions>): Command {
  return makeCommand('uninstall', 'Mesh:', 'Remove every trace of the mesh from this machine', [
    { command: 'weft uninstall --keep-state', does: 'leave the mesh, but keep the certificate authority for the next start' },
  ])
    .description(
      'Remove every trace of the mesh from this machine: eBPF programs, maps, network namespaces, cgroups and files. Running agents and the control plane are asked to do it and to end; after those that crashed it is done for them.',
    )
    .option('--keep-state', 'keep the state directory, and with it the certificate authority', false)
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .addOption(bpffsOption())
    .action((options: UninstallOptions) => act(options));
}

/** What leaving the mesh asks of the machine and does to it. */
export type UninstallEffects = {
  control: Pick<ControlClient, 'status' | 'stopWaypoints'>;
  /** The agent of a node, which may be dead: then every call of it is WEFT_NO_AGENT. */
  agentOf(node: string): Pick<AgentClient, 'status' | 'cleanup'>;
  /** Nodes with a directory below the run directory. Errors: WEFT_NOT_ROOT. */
  nodesBelow(runDir: string): readonly string[];
  exists(path: string): boolean;
  /** Names in a directory; none when it cannot be read. */
  entriesOf(directory: string): readonly string[];
  /** Removes a file or a directory with what it holds; fine when it is not there. */
  removeTree(path: string): void;
  /** Whether the directory was there, was empty, and is gone now. */
  removeIfEmpty(directory: string): boolean;
  /** Removes what the dead agent of a node left: programs, pins, namespaces, cgroups, files. */
  cleanupNode(node: string): Promise<void>;
  /** Whether a process has ended by itself within `waitMs`. */
  endsWithin(pid: number, waitMs: number): Promise<boolean>;
  /** SIGTERM, and SIGKILL after `waitMs`. */
  endProcess(pid: number, waitMs: number): Promise<void>;
  tell(line: string): void;
};

/** What a directory must hold to be taken for the state of a control plane. */
const STATE_MARKS = ['root-key.pem', 'root-cert.pem', 'token-key.pem'];

/**
 * Takes the machine out of the mesh: waypoints, then nodes, the control plane, and last the directories, so that each
 * part still finds what it needs to end in order. Goes on after a failure, and tells all of them in the end.
 * Errors: WEFT_UNINSTALL with what failed, WEFT_NOT_ROOT; what the control plane answers is an error unless it is gone.
 */
export async function leaveMesh(options: UninstallOptions, effects: UninstallEffects): Promise<void> {
  const failures: unknown[] = [];
  let removed = 0;
  const attempt = async (done: string, remove: () => boolean | Promise<boolean>): Promise<void> => {
    try {
      if (!(await remove())) return;
      removed += 1;
      effects.tell(done);
    } catch (error) {
      failures.push(error);
    }
  };
  const { runDir, stateDir, keepState } = options;
  // Before any node goes: a waypoint leaves through the agent of its node.
  const controlPid = await stopWaypoints(controlSocketPath(runDir), effects);
  for (const node of nodesWithTraces(options, effects)) await attempt(`node ${node}: removed`, () => removeNode(node, effects));
  if (controlPid !== null) await attempt('control plane: ended', () => endControl(controlPid, effects));
  await attempt(`${runDir}: removed`, () => removeRunDir(runDir, effects));
  if (!keepState) await attempt(`${stateDir}: removed`, () => removeStateDir(stateDir, effects));
  if (removed === 0 && failures.length === 0) effects.tell('nothing to remove');
  if (failures.length === 0) return;
  throw new WeftError('WEFT_UNINSTALL', 'not everything could be removed', {
    cause: new AggregateError(failures),
    remedy: 'run weft uninstall again; it goes on where it stopped',
  });
}

/** Lets the control plane end its waypoints while their node is still there; its process id, null when it does not answer. */
async function stopWaypoints(socketPath: string, { control, exists }: UninstallEffects): Promise<number | null> {
  if (!exists(socketPath)) return null;
  try {
    const { pid } = await control.status();
    await control.stopWaypoints().catch(() => {}); // what is left of them goes with their node
    return pid;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'WEFT_NO_CONTROL') return null;
    throw error;
  }
}

/** Nodes with a directory of their own, also those of agents that are gone: pins outlive the run directory, which is in memory. */
function nodesWithTraces({ runDir, bpffs }: UninstallOptions, { nodesBelow, entriesOf }: UninstallEffects): string[] {
  return [...new Set([...nodesBelow(runDir), ...entriesOf(join(bpffs, 'weft'))])].sort();
}

/** A running agent removes its node itself; one that does so too slowly, or is dead, has it done here. */
async function removeNode(node: string, effects: UninstallEffects): Promise<boolean> {
  const agent = effects.agentOf(node);
  try {
    const { pid } = await agent.status();
    await agent.cleanup();
    if (await effects.endsWithin(pid, COMMAND.uninstallAgentMs)) return true;
    await effects.endProcess(pid, COMMAND.uninstallControlMs);
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'WEFT_NO_AGENT') throw error;
  }
  await effects.cleanupNode(node);
  return true;
}

async function endControl(pid: number, { endProcess }: UninstallEffects): Promise<boolean> {
  await endProcess(pid, COMMAND.uninstallControlMs);
  return true;
}

/** Only what Weft puts there is removed, and the directory itself when nothing else is in it. */
function removeRunDir(runDir: string, { exists, removeTree, removeIfEmpty }: UninstallEffects): boolean {
  if (!exists(runDir)) return false;
  for (const path of [controlSocketPath(runDir), discoverySocketPath(runDir), waypointsDirectory(runDir)]) removeTree(path);
  return removeIfEmpty(runDir);
}

/** A mistyped --state-dir must not cost somebody's files. Errors: WEFT_STATE_FOREIGN when the directory does not look like ours. */
function removeStateDir(stateDir: string, { exists, entriesOf, removeTree, removeIfEmpty }: UninstallEffects): boolean {
  const entries = entriesOf(stateDir);
  if (!exists(stateDir)) return false;
  if (entries.length === 0) return removeIfEmpty(stateDir);
  if (!STATE_MARKS.some((mark) => entries.includes(mark))) {
    throw new WeftError('WEFT_STATE_FOREIGN', `${stateDir} does not look like the state of a control plane, so it stays`, {
      remedy: 'name the right directory with --state-dir, or keep it with --keep-state',
    });
  }
  removeTree(stateDir);
  return true;
}
