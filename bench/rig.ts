import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';
import { type App, startWorkload } from '#testbed/lab/app.ts';
import { Lab } from '#testbed/lab/lab.ts';
import { nodesDown, nodesUp } from '#testbed/nodes/nodes.ts';
import { type LabPlan, type NodeName, planLab } from '#testbed/nodes/plan.ts';
import type { Child, Spawn } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { asHost, inCgroup, inNetns, inNetnsOf } from '#testbed/processes/command-lines.ts';

export const LOAD_PORT = 9900;
/** CPU of everything on the client's side, and of everything on the server's side. */
export const CPU = { client: '0', server: '1' } as const;
const VIP = { near: '10.96.0.10', far: '10.96.0.11' } as const;
const LOAD_SOURCE = new URL('./load/load.c', import.meta.url).pathname;

/** A mesh of two nodes that carries nothing but the benchmark's load. */
export type Rig = {
  plan: LabPlan;
  /** The compiled load program. */
  load: string;
  client: App;
  nearServer: App;
  farServer: App;
  agents: Record<'alpha' | 'beta', Child>;
  dir: string;
  spawn: Spawn;
  down(): Promise<void>;
};

/** Service addresses that the client dials through the mesh. */
export const DIAL = VIP;

/** Builds the load, the nodes and the mesh. Errors: those of the lab; what was made is removed again. */
export async function rigUp(): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-bench-'));
  const plan = planLab(randomBytes(3).toString('hex'), tmpdir(), await findCgroup2());
  const lab = new Lab(plan, join(dir, 'mesh'));
  const { spawn } = lab;
  const down = async (): Promise<void> => {
    for (const child of lab.children().toReversed()) await child.stop();
    await nodesDown(plan, false);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const load = join(dir, 'load');
    await command(['clang', '-O2', '-pthread', LOAD_SOURCE, '-o', load]);
    await nodesUp(plan);
    const agents = await startMesh(lab);
    const [client, nearServer, farServer] = await startLoad(plan, load, spawn);
    return { plan, load, client, nearServer, farServer, agents, dir, spawn, down };
  } catch (error) {
    await down();
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
metadata: { name: ${name}, namespace: bookshop }
spec:
  clusterIP: ${VIP[name]}
  selector: { app: ${name} }
  ports: [{ name: tcp, port: ${LOAD_PORT}, targetPort: ${LOAD_PORT} }]
`;
}

async function startLoad(plan: LabPlan, load: string, spawn: Spawn): Promise<[App, App, App]> {
  const serve = (name: string, node: NodeName, cpu: string) =>
    startWorkload(
      plan,
      {
        name,
        node,
        namespace: 'bookshop',
        serviceAccount: name,
        labels: { app: name },
        command: ['taskset', '-c', cpu, load, 'serve', String(LOAD_PORT)],
      },
      spawn,
    );
  return [
    await serve('client', 'alpha', CPU.client),
    await serve('near', 'alpha', CPU.server),
    await serve('far', 'beta', CPU.server),
  ];
}

async function pin(pid: number, cpu: string): Promise<void> {
  await command(['taskset', '-a', '-cp', cpu, String(pid)]);
}

/** The load client inside the client's workload: captured by the mesh. */
export async function meshed(rig: Rig, ...args: string[]): Promise<string> {
  const cgroup = await cgroupOf(rig.client.pid);
  return command(inCgroup(cgroup, inNetnsOf(rig.client.pid, ['taskset', '-c', CPU.client, rig.load, ...args])), 60_000);
}

/** The load client in a bare namespace beside the mesh. */
export function bare(rig: Rig, netns: string, ...args: string[]): Promise<string> {
  return command(asHost(rig.plan, inNetns(netns, ['taskset', '-c', CPU.client, rig.load, ...args])), 60_000);
}

async function cgroupOf(pid: number): Promise<string> {
  const line = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').find((one) => one.startsWith('0::'));
  return join(await findCgroup2(), line?.slice(3) ?? '');
}

/** CPU seconds, user and system, that processes have used so far. */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  let ticks = 0;
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100; // USER_HZ
}
