import type { Command } from 'commander';
import { WeftError } from '#model/error.ts';
import type { MeshTraces } from '#model/instance/mark.ts';
import { COMMAND } from '#model/settings/host.ts';
import type { AgentClient } from '#protocol/api/agent.ts';
import type { ControlClient } from '#protocol/api/control.ts';
import { controlSocketPath, waypointsDirectory } from '#protocol/api/places.ts';
import { type Act, bpffsOption, makeCommand, runDirOption, stateDirOption } from './command.ts';

/** What `weft uninstall` is told. */
export type UninstallOptions = {
  runDir: string;
  stateDir: string;
  bpffs: string;
  keepState: boolean;
  yes: boolean;
  /** The cluster that the mesh is taken off; absent: this machine. */
  kubeconfig?: string;
};

/** `weft uninstall`: takes this machine out of the mesh. */
export function uninstallCommand(act: Act<UninstallOptions>): Command {
  return makeCommand('uninstall', 'Mesh:', 'Remove every trace of the mesh from this machine', [
    { command: 'weft uninstall --keep-state', does: 'leave the mesh, but keep the certificate authority for the next start' },
    { command: 'weft uninstall --yes', does: 'end what still runs without asking, in a script say' },
    { command: 'weft uninstall --kubeconfig ~/.kube/config', does: 'take the mesh off a cluster, whose pods go on' },
  ])
    .description(
      'Remove every trace of the mesh of a run directory from this machine: eBPF programs, maps, network namespaces, cgroups and files. Running agents and the control plane are asked to do it and to end; after those that crashed it is done for them. Only what bears the mark of that mesh is touched, and the rest is named; while something of it lives, it asks first. With --kubeconfig it takes the mesh off a cluster in place of this machine: the agents first, which let their pods go while they have the rights to, then the rest.',
    )
    .option('--yes', 'do not ask, also when workloads, agents or the control plane live', false)
    .option('--keep-state', 'keep the state directory, and with it the certificate authority', false)
    .option('--kubeconfig <file>', 'take the mesh off the cluster that this reaches, without asking')
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
  look(): MeshTraces;
  exists(path: string): boolean;
  /** Removes what Weft put into a directory that bears our mark, and the directory; returns what stays in it. */
  removeMarked(directory: string, kind: 'run' | 'waypoints' | 'state'): readonly string[];
  /** Removes a socket that nobody serves any more. */
  removeSocket(path: string): void;
  /** Removes what the dead agent of a node left: programs, pins, namespaces, cgroups, files. */
  cleanupNode(node: string): Promise<void>;
  /** Resolves when no `weft up` keeps the agent of a node running, or after a deadline. */
  upEnds(node: string): Promise<void>;
  /** Whether a process has ended by itself within `waitMs`. */
  endsWithin(pid: number, waitMs: number): Promise<boolean>;
  /** SIGTERM, and SIGKILL after `waitMs`. */
  endProcess(pid: number, waitMs: number): Promise<void>;
  /** Asks a person; null when there is nobody to ask. */
  agree(question: string): Promise<boolean | null>;
  tell(line: string): void;
};

type Living = { controlPid: number | null; sentences: readonly string[] };

/**
 * Takes the mesh of a run directory off the machine: waypoints, then nodes, the control plane, and last the directories, so that
 * each part still finds what it needs to end in order. Goes on after a failure, and tells all of them in the end. What bears no
 * mark of this mesh is told and left. Errors: WEFT_UNINSTALL with what failed, WEFT_UNINSTALL_LIVES when something lives and
 * nobody agreed, WEFT_NOT_ROOT; what the control plane answers is an error unless it is gone.
 */
export async function leaveMesh(options: UninstallOptions, effects: UninstallEffects): Promise<void> {
  const { runDir, stateDir, keepState } = options;
  const found = effects.look();
  const living = await findLiving(options, found, effects);
  await requireAgreement(options, living, effects);
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
  // Before any node goes: a waypoint leaves through the agent of its node.
  const { controlPid } = living;
  if (controlPid !== null) await effects.control.stopWaypoints().catch(() => {}); // what is left of them goes with their node
  const dead: string[] = [];
  for (const { node } of found.nodes) {
    if (await answers(node, effects)) await attempt(`node ${node}: removed`, () => removeNode(node, effects));
    else dead.push(node);
  }
  if (controlPid !== null) await attempt('control plane: ended', () => endControl(controlPid, effects));
  for (const node of dead) {
    // What keeps an agent running would start it anew beside what is being removed.
    await effects.upEnds(node);
    await attempt(`node ${node}: removed`, () => removeNode(node, effects));
  }
  await attempt(`${runDir}: removed`, () => removeRunDir(runDir, found, effects));
  if (!keepState) await attempt(`${stateDir}: removed`, () => removeStateDir(stateDir, effects));
  for (const line of leftAlone(options, found)) effects.tell(line);
  if (removed === 0 && failures.length === 0) effects.tell('nothing to remove');
  if (failures.length === 0) return;
  throw new WeftError('WEFT_UNINSTALL', 'not everything could be removed', {
    cause: new AggregateError(failures),
    remedy: 'run weft uninstall again; it goes on where it stopped',
  });
}

/** What of the mesh still runs, a sentence each. */
async function findLiving({ runDir }: UninstallOptions, found: MeshTraces, effects: UninstallEffects): Promise<Living> {
  const controlPid = await findControl(controlSocketPath(runDir), effects);
  const nodes = await Promise.all(found.nodes.map((node) => describeLiving(node, effects)));
  const control = controlPid === null ? [] : [`the control plane (pid ${controlPid})`];
  return { controlPid, sentences: [...nodes.flat(), ...control] };
}

async function findControl(socketPath: string, { control, exists }: UninstallEffects): Promise<number | null> {
  if (!exists(socketPath)) return null;
  try {
    return (await control.status()).pid;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'WEFT_NO_CONTROL') return null;
    throw error;
  }
}

async function describeLiving({ node, populated }: MeshTraces['nodes'][number], effects: UninstallEffects): Promise<string[]> {
  try {
    const { pid, enrolled } = await effects.agentOf(node).status();
    return [`node ${node} (its agent has pid ${pid}; workloads: ${enrolled.length})`];
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'WEFT_NO_AGENT') throw error;
    return populated ? [`node ${node} (workloads live, its agent does not answer)`] : [];
  }
}

async function requireAgreement(
  { yes, runDir }: UninstallOptions,
  { sentences }: Living,
  effects: UninstallEffects,
): Promise<void> {
  if (yes || sentences.length === 0) return;
  const what = `the mesh of ${runDir} lives: ${sentences.join(', ')}`;
  const agreed = await effects.agree(`${what}. End all of it and remove it?`);
  if (agreed === true) return;
  const why = agreed === null ? what : `nothing was removed: ${what}`;
  throw new WeftError('WEFT_UNINSTALL_LIVES', why, { remedy: 'end it first, or write --yes to end it now' });
}

/** What was seen and is not touched, with the reason. */
function leftAlone(
  { runDir, stateDir, keepState }: UninstallOptions,
  { runDir: place, nodes, others, orphans, state }: MeshTraces,
): string[] {
  const ofOthers = nodes.length === 0 ? others.map((other) => `left: node ${other.node}, which belongs to ${other.runDir}`) : [];
  const unknown = orphans.map(
    (node) => `left: the pins of node ${node}: nothing tells whose it is (weft agent --node ${node} --cleanup)`,
  );
  const foreign = place === 'foreign' && nodes.length === 0 ? [`left: ${runDir}, which bears no mark of Weft`] : [];
  return [...ofOthers, ...unknown, ...foreign, ...(keepState ? [] : stateLeft(stateDir, state))];
}

function stateLeft(stateDir: string, state: MeshTraces['state']): string[] {
  if (state.kind === 'foreign') return [`left: ${stateDir}, which bears no mark of Weft`];
  if (state.kind === 'other')
    return [`left: ${stateDir}, which belongs to the control plane of ${state.runDir ?? 'another run directory'}`];
  return [];
}

/** Errors: those of asking, but for an agent that is dead. */
async function answers(node: string, effects: UninstallEffects): Promise<boolean> {
  try {
    await effects.agentOf(node).status();
    return true;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'WEFT_NO_AGENT') return false;
    throw error;
  }
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

/** Sockets and what is kept of waypoints; the directory itself when it is ours and nothing else is in it. Errors: WEFT_FILES_LEFT. */
function removeRunDir(runDir: string, found: MeshTraces, effects: UninstallEffects): boolean {
  const waypoints = waypointsDirectory(runDir);
  const left = [...effects.removeMarked(waypoints, 'waypoints')];
  if (found.runDir !== 'foreign' || found.hasWaypoints) effects.removeSocket(controlSocketPath(runDir));
  left.push(...effects.removeMarked(runDir, 'run').filter((path) => path !== waypoints));
  if (left.length > 0) throw filesLeft(left);
  return found.runDir === 'ours' && !effects.exists(runDir);
}

/** Errors: WEFT_STATE_HELD when a control plane uses it, WEFT_FILES_LEFT. */
function removeStateDir(stateDir: string, effects: UninstallEffects): boolean {
  // Looked at only now: the control plane that used it may have ended.
  const { state } = effects.look();
  if (state.kind !== 'ours') return false;
  if (state.locked) {
    throw new WeftError('WEFT_STATE_HELD', `a control plane that does not answer uses ${stateDir}`, {
      remedy: `end it: fuser ${stateDir}/lock names it`,
    });
  }
  const left = effects.removeMarked(stateDir, 'state');
  if (left.length > 0) throw filesLeft(left);
  return true;
}

function filesLeft(paths: readonly string[]): WeftError {
  return new WeftError('WEFT_FILES_LEFT', `not Weft's, and left: ${paths.join(', ')}`, {
    remedy: 'move what is yours elsewhere, and remove the directory',
  });
}
