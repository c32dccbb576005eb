import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { type App, startWorkload } from '#testbed/lab/app.ts';
import { Lab } from '#testbed/lab/lab.ts';
import { nodesDown, nodesUp } from '#testbed/nodes/nodes.ts';
import { type LabPlan, type NodeName, planLab } from '#testbed/nodes/plan.ts';
import type { Child, Spawn } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { inCgroup, inNetnsOf } from '#testbed/processes/command-lines.ts';
import type { Way } from './way.ts';

export const LOAD_PORT = 9900;
/** CPU of everything on the client's side, and of everything on the server's side. */
export const CPU = { client: '0', server: '1' } as const;
/** The mesh's namespace in which everything is. */
export const NAMESPACE = 'bench';
/** Service addresses that the client dials through the mesh. */
const VIP = { near: '10.96.0.10', far: '10.96.0.11' } as const;
const LOAD_SOURCES = ['load', 'serve'].map((name) => join(WEFT_ROOT, `bench/load/${name}.c`));

/** A mesh of two nodes that carries nothing but the benchmark's load. */
export type Rig = {
  plan: LabPlan;
  /** The compiled load program. */
  load: string;
  client: App;
  /** The server across nodes. */
  far: App;
  lab: Lab;
  agents: Record<'alpha' | 'beta', Child>;
  dir: string;
  spawn: Spawn;
  /** Has something removed after every process has ended, before the rig's directory goes. */
  atEnd(remove: () => Promise<void>): void;
  /** Removes everything; `keepLogs` when something failed. */
  down(keepLogs: boolean): Promise<void>;
};

/** Builds the load, the nodes and the mesh. Errors: those of the lab; what was made is removed again. */
export async function rigUp(): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-bench-'));
  const plan = planLab(randomBytes(3).toString('hex'), tmpdir(), await findCgroup2());
  const lab = new Lab(plan, join(dir, 'mesh'));
  const { spawn } = lab;
  const removals: (() => Promise<void>)[] = [];
  const down = async (keepLogs: boolean): Promise<void> => {
    await lab.stopApps();
    for (const child of lab.children().toReversed()) await child.stop();
    for (const remove of removals) await remove();
    await nodesDown(plan, keepLogs);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const load = join(dir, 'load');
    await command(['clang', '-O2', '-pthread', ...LOAD_SOURCES, '-o', load]);
    await nodesUp(plan);
    const agents = await startMesh(lab);
    const { client, far } = await startLoad(plan, load, spawn);
    return { plan, load, client, far, lab, agents, dir, spawn, atEnd: (remove) => void removals.push(remove), down };
  } catch (error) {
    await down(true);
    throw error;
  }
}

async function startMesh(lab: Lab): Promise<Rig['agents']> {
  await mkdir(lab.configDir);
  await writeFile(join(lab.configDir, 'load.yaml'), `${serviceYaml('near')}---\n${serviceYaml('far')}`);
  await lab.start(() => {});
  const [alpha, beta] = [lab.agent('alpha'), lab.agent('beta')];
  await pin(alpha.pid, CPU.client);
  await pin(beta.pid, CPU.server);
  return { alpha, beta };
}

function serviceYaml(name: keyof typeof VIP): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  clusterIP: ${VIP[name]}
  selector: { app: ${name} }
  ports: [{ name: tcp, port: ${LOAD_PORT}, targetPort: ${LOAD_PORT} }]
`;
}

async function startLoad(plan: LabPlan, load: string, spawn: Spawn): Promise<Pick<Rig, 'client' | 'far'>> {
  const serve = (name: string, node: NodeName, cpu: string) =>
    startWorkload(
      plan,
      {
        name,
        node,
        namespace: NAMESPACE,
        serviceAccount: name,
        labels: { app: name },
        command: ['taskset', '-c', cpu, load, 'serve', String(LOAD_PORT)],
      },
      spawn,
    );
  await serve('near', 'alpha', CPU.server);
  const far = await serve('far', 'beta', CPU.server);
  return { far, client: await serve('client', 'alpha', CPU.client) };
}

/** The command of a workload that does not say by itself that it runs: the shell says who it will be. */
export function announced(line: readonly string[]): string[] {
  return ['sh', '-c', 'echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec "$@"', 'sh', ...line];
}

/** Keeps every thread of a process on a CPU. */
export async function pin(pid: number, cpu: string): Promise<void> {
  await command(['taskset', '-a', '-cp', cpu, String(pid)]);
}

/** The way of the client's workload, which the mesh captures, to a service of the load. */
export function meshWay(rig: Rig, to: keyof typeof VIP): Promise<Way> {
  const carriers = [rig.agents.alpha.pid, rig.agents.beta.pid];
  return wayOfClient(rig, { host: VIP[to], port: String(LOAD_PORT), carriers });
}

/** The way of the client's workload to anything it dials. */
export async function wayOfClient({ client }: Rig, way: Omit<Way, 'atClient'>): Promise<Way> {
  const cgroup = await cgroupOf(client.pid);
  const atClient = (line: readonly string[]): string[] =>
    inCgroup(cgroup, inNetnsOf(client.pid, ['taskset', '-c', CPU.client, ...line]));
  return { ...way, atClient };
}

async function cgroupOf(pid: number): Promise<string> {
  const line = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').find((one) => one.startsWith('0::'));
  return join(await findCgroup2(), line?.slice(3) ?? '');
}
