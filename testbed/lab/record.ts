import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { labState } from '#testbed/nodes/nodes.ts';
import {
  CONTROL_ADDRESS,
  type LabPlan,
  type LinkEnd,
  OUTSIDE_4,
  OUTSIDE_6,
  OUTSIDE_NAME,
  planLab,
  wireOf,
} from '#testbed/nodes/plan.ts';
import type { Lab } from './lab.ts';
import { agentStatus } from './parts.ts';

/** Where labs of `weft lab` keep what is theirs: only root writes there, so their names can be foretold. */
export const LABS_DIR = '/run';

/** A part of a lab: a process with its log. */
type PartRecord = { pid: number; netns: string; log: string };

/** One node of a lab, by its short name in `nodes`. */
export type NodeRecord = PartRecord & {
  /** The node's name in the mesh, as `weft status` shows it. */
  node: string;
  cgroup: string;
  /** The agent's local API. */
  socket: string;
  /** `host:port` of its metrics page, in the node's namespace; null: there is none. */
  metrics: string | null;
  /** What the agent keeps of its workloads. */
  state: string;
  /** Where its maps, programs and links are pinned. */
  pins: string;
  pool4: string;
  pool6: string;
  link4: string;
  link6: string;
};

/** What `weft lab up --json FILE` writes; docs/lab.md explains every field. Namespaces are names below /run/netns. */
export type LabRecord = {
  lab: string;
  pid: number;
  directory: string;
  socket: string;
  runDir: string;
  stateDir: string;
  logDir: string;
  bpffs: string;
  cgroup: string;
  hostCgroup: string;
  wire: LinkEnd | null;
  control: PartRecord & { address: string; socket: string; rootCertificate: string };
  waypoints: string;
  outside: PartRecord & { address4: string; address6: string; resolvConf: string; name: string };
  nodes: Record<string, NodeRecord>;
};

/** The socket of a lab itself. */
export function labSocket({ runDir }: LabPlan): string {
  return join(runDir, 'lab.sock');
}

/** The resolv.conf of the host outside. */
export function outsideResolvConf({ runDir }: LabPlan): string {
  return join(runDir, 'outside.resolv.conf');
}

/** Everything a program needs to know of a running lab. Errors: those of an agent that does not answer. */
export async function recordOf(lab: Lab): Promise<LabRecord> {
  const { plan, paths } = lab;
  const nodes = plan.nodes.map(async ({ name, meshName, netns, cgroup, pool4, pool6, link4, link6 }) => {
    const { pid, logPath: log } = lab.agent(name);
    const socket = paths.agentSocket(name);
    const { metrics, kernel } = await agentStatus(plan, name);
    const node: NodeRecord = {
      node: meshName,
      pid,
      netns,
      cgroup,
      socket,
      state: dirname(socket),
      metrics,
      pins: kernel.pinDir,
      log,
      pool4,
      pool6,
      link4,
      link6,
    };
    return [name, node] as const;
  });
  return {
    lab: plan.id,
    pid: process.pid,
    directory: lab.configDir,
    socket: labSocket(plan),
    runDir: paths.meshRunDir,
    stateDir: paths.stateDir,
    logDir: plan.logDir,
    bpffs: plan.bpffsMount,
    cgroup: plan.cgroupRoot,
    hostCgroup: plan.hostCgroup,
    wire: plan.nodes.length > 1 ? wireOf(plan) : null,
    control: {
      pid: lab.control.pid,
      netns: plan.ctlNetns,
      address: CONTROL_ADDRESS,
      socket: paths.controlSocket,
      rootCertificate: paths.rootCertificate,
      log: lab.control.logPath,
    },
    waypoints: paths.waypointLogs,
    outside: {
      pid: lab.resolver.pid,
      netns: plan.outsideNetns,
      address4: OUTSIDE_4,
      address6: OUTSIDE_6,
      name: OUTSIDE_NAME,
      resolvConf: outsideResolvConf(plan),
      log: lab.resolver.child.logPath,
    },
    nodes: Object.fromEntries(await Promise.all(nodes)),
  };
}

/** Writes a record where the other commands find it, and to the files that a user asked for; each in one step. */
export async function writeRecord(record: LabRecord, plan: LabPlan, ...files: readonly string[]): Promise<void> {
  for (const path of [recordPath(plan), ...files]) {
    await writeFile(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
}

/** A lab that is up. Errors: WEFT_LAB_UNKNOWN, naming those there are; WEFT_LAB_NOT_UP when it is starting or was killed. */
export async function findLab(name: string): Promise<{ record: LabRecord; plan: LabPlan }> {
  const place = planLab(name, LABS_DIR, '');
  const state = await labState(place);
  if (state === 'absent') throw await unknownLab(name);
  const text = state === 'alive' ? await readFile(recordPath(place), 'utf8').catch(() => null) : null;
  if (text === null) {
    throw new WeftError('WEFT_LAB_NOT_UP', `lab "${name}" ${state === 'alive' ? 'is still starting' : 'was killed'}`, {
      remedy: state === 'alive' ? 'wait until weft lab up says that it is up' : `remove it with weft lab down${flagOf(name)}`,
    });
  }
  const record = JSON.parse(text) as LabRecord;
  return { record, plan: planLab(name, LABS_DIR, dirname(record.cgroup), Object.keys(record.nodes).length) };
}

/** The error for a lab that is not there. */
export async function unknownLab(name: string): Promise<WeftError> {
  const names = (await readdir(LABS_DIR)).flatMap((entry) => /^weft-lab-([a-z0-9]+)$/.exec(entry)?.[1] ?? []);
  return new WeftError('WEFT_LAB_UNKNOWN', `there is no lab "${name}"`, {
    remedy: names.length > 0 ? `write --lab with one of: ${names.sort().join(', ')}` : 'start one with weft lab up DIR',
  });
}

/** How a command names the lab: the default one needs no mention. */
export function flagOf(name: string): string {
  return name === 'lab' ? '' : ` --lab ${name}`;
}

function recordPath({ runDir }: LabPlan): string {
  return join(runDir, 'lab.json');
}
