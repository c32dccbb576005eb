/**
 * What the attacks run against: control plane and agents as processes on two virtual nodes, real workloads, and the wire
 * between the nodes captured. A test file makes one mesh for all of its tests, since starting it takes seconds.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { startOutsiders } from '#testbed/apps/outsiders.ts';
import { createProbe, type Probe } from '#testbed/apps/probe-client.ts';
import { type App, insideScript, startWorkload, type WorkloadSpec } from '#testbed/lab/app.ts';
import { Lab, logTails } from '#testbed/lab/lab.ts';
import { requireLabMachine } from '#testbed/lab/life.ts';
import { agentStatus, controlStatus } from '#testbed/lab/parts.ts';
import { nodesDown, nodesUp, sweepDeadLabs } from '#testbed/nodes/nodes.ts';
import { type LabPlan, type NodeName, nodeOf, planLab, wireOf } from '#testbed/nodes/plan.ts';
import { captured } from '#testbed/observers/capture.ts';
import { reportWire, type WireReport } from '#testbed/observers/wire-report.ts';
import { type CommandResult, tryCommand } from '#testbed/processes/command.ts';
import { asHost, inNetns, shopProgram, testbedProgram } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';

const SETTLE_MS = 5_000;
const COMMAND_MS = 20_000;

/** A workload to start: what is not given is `attacks` for the namespace, the name for account and label `app`. */
export type Wanted = Partial<Omit<WorkloadSpec, 'name' | 'node'>> & { name: string; node: NodeName };

/** A running mesh, and everything an attacker may do to it. */
export class AttackedMesh {
  readonly lab: Lab;
  readonly plan: LabPlan;
  readonly #dir: string;
  readonly #inside: string;
  readonly #apps = new Map<string, App>();
  #failed = false;

  private constructor(lab: Lab, dir: string) {
    this.lab = lab;
    this.plan = lab.plan;
    this.#dir = dir;
    this.#inside = join(dir, 'inside');
  }

  /**
   * Starts control plane and agents of `nodes` virtual nodes over these resources (file name → YAML); logs and state lie below `base`.
   * Errors: those of the lab, with the ends of its logs; nothing is left then.
   */
  static async up(resources: Readonly<Record<string, string>>, nodes = 2, base = tmpdir()): Promise<AttackedMesh> {
    const plan = planLab(randomBytes(3).toString('hex'), base, await requireLabMachine(true), nodes);
    await sweepDeadLabs(plan);
    const dir = mkdtempSync(join(tmpdir(), 'weft-attack-'));
    const config = join(dir, 'mesh');
    mkdirSync(config);
    for (const [file, yaml] of Object.entries(resources)) writeFileSync(join(config, file), yaml);
    const mesh = new AttackedMesh(new Lab(plan, config), dir);
    try {
      await nodesUp(plan);
      writeFileSync(mesh.#inside, insideScript(plan), { mode: 0o700 });
      await mesh.lab.start(() => {});
      return mesh;
    } catch (error) {
      const tails = await logTails(mesh.lab.children());
      await mesh.down();
      throw new Error(`the mesh does not start: ${String(error)}${tails}`, { cause: error });
    }
  }

  /** Ends and removes everything; to be called in `after`, also when a start failed. */
  async down(): Promise<void> {
    this.lab.refuseStarts();
    if (this.lab.children().some((child) => child.ending() === null)) await this.lab.leave().catch(() => null);
    await nodesDown(this.plan, this.#failed);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** The logs of this run outlive it. */
  keepLogs(): string {
    this.#failed = true;
    return this.plan.logDir;
  }

  /** Starts a workload through `weft run` and waits until its program says that it listens. */
  async start({ name, node, ...rest }: Wanted): Promise<App> {
    const spec = {
      namespace: 'attacks',
      serviceAccount: name,
      labels: { app: name },
      command: testbedProgram('probe'),
      ...rest,
      name,
      node,
    };
    const app = await startWorkload(this.plan, spec, this.lab.spawn).catch(async (error: unknown) => {
      // The logs go with the mesh, so the reason has to be in the error.
      throw new Error(`${name} does not start: ${String(error)}${await logTails(this.lab.children())}`, { cause: error });
    });
    this.#apps.set(name, app);
    return app;
  }

  /** A workload that dials and asks on command. */
  async probe(name: string, node: NodeName, rest: Partial<Wanted> = {}): Promise<Probe> {
    const app = await this.start({ ...rest, name, node });
    return createProbe(app.child, app.pid);
  }

  /** A workload that answers on TCP port 7000 with who called. */
  echo(name: string, node: NodeName, rest: Partial<Wanted> = {}): Promise<App> {
    return this.start({ command: shopProgram('echo', name), ...rest, name, node });
  }

  /** The hosts outside the mesh: probe `outside` on a network of its own, `bystander` on node alpha itself. */
  async outsiders(): Promise<Record<'outside' | 'bystander', Probe>> {
    const apps = await startOutsiders(this.plan, this.lab.spawn);
    for (const app of Object.values(apps)) this.#apps.set(app.name, app);
    const probeOf = (name: string): Probe => {
      const app = this.app(name);
      return createProbe(app.child, app.pid);
    };
    return { outside: probeOf('outside'), bystander: probeOf('bystander') };
  }

  /** A workload or outsider that was started. */
  app(name: string): App {
    const app = this.#apps.get(name);
    if (app === undefined) throw new Error(`there is no app ${name}`);
    return app;
  }

  /** Runs a command inside an app's cgroup, network and mount namespace, with all capabilities: an attacker that kept them. */
  inside(name: string, command: readonly string[], timeoutMs = COMMAND_MS): Promise<CommandResult> {
    return tryCommand([this.#inside, name, ...command], timeoutMs);
  }

  /** Runs a command on a virtual node itself, outside of every workload and of the node's cgroup. */
  onNode(node: NodeName, command: readonly string[], timeoutMs = COMMAND_MS): Promise<CommandResult> {
    return tryCommand(asHost(this.plan, inNetns(nodeOf(this.plan, node).netns, command)), timeoutMs);
  }

  /** Runs a command on the host outside the mesh. */
  outside(command: readonly string[], timeoutMs = COMMAND_MS): Promise<CommandResult> {
    return tryCommand(asHost(this.plan, inNetns(this.plan.outsideNetns, command)), timeoutMs);
  }

  /** The command line by which a caller starts a long-lived program inside an app, as `inside` does. */
  insideLine(name: string, command: readonly string[]): string[] {
    return [this.#inside, name, ...command];
  }

  /** What the agent of a node says of itself. */
  status(node: NodeName): Promise<AgentStatus> {
    return agentStatus(this.plan, node);
  }

  controlStatus(): Promise<ControlStatus> {
    return controlStatus(this.plan);
  }

  /** The log of an agent or of `control`, as far as it is written. */
  log(part: NodeName | 'control'): Promise<string> {
    return readFile(part === 'control' ? this.lab.control.logPath : this.lab.agent(part).logPath, 'utf8');
  }

  /** Writes a resource file (null: deletes it) without waiting for anything. */
  write(file: string, yaml: string | null): void {
    const path = join(this.lab.configDir, file);
    if (yaml === null) rmSync(path, { force: true });
    else writeFileSync(path, yaml);
  }

  /**
   * Changes policy and waits until every agent has renewed its verdicts by all of it: a policy and the records of those whom
   * it selects travel apart, so that the first renewal alone says nothing about the second.
   */
  async enforce(file: string, yaml: string | null): Promise<void> {
    const nodes = this.plan.nodes.map(({ name }) => name);
    const generations = async (): Promise<number[]> =>
      (await Promise.all(nodes.map((node) => this.status(node)))).map(({ kernel }) => kernel.generation);
    const before = await generations();
    this.write(file, yaml);
    await waitUntil(
      `enforcement of ${file}`,
      SETTLE_MS,
      async () =>
        (await generations()).every((generation, at) => generation > (before[at] ?? 0)) &&
        (await controlStatus(this.plan)).connections.every(({ upToDate }) => upToDate),
    );
  }

  /** Runs `body` while the wire between the nodes is captured, and judges every frame of it. */
  async wire<Result>(body: () => Promise<Result>): Promise<{ result: Result; report: WireReport; pcap: Buffer }> {
    const path = join(this.#dir, `wire-${randomBytes(3).toString('hex')}.pcap`);
    const { result, file } = await captured(wireOf(this.plan), path, '', body);
    return { result, report: reportWire(file), pcap: file };
  }
}

/** A service over the workloads with a label `app`, its target port 7000 by default. */
export function serviceYaml(name: string, vip4: string, port = 7, targetPort = 7000, namespace = 'attacks'): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  clusterIP: ${vip4}
  selector: { app: ${name} }
  ports: [{ name: tcp, port: ${port}, targetPort: ${targetPort} }]
`;
}

/** An AuthorizationPolicy of `action` whose one rule names these service accounts of the namespace as sources. */
export function policyYaml(
  name: string,
  app: string,
  action: 'ALLOW' | 'DENY',
  accounts: readonly string[],
  namespace = 'attacks',
): string {
  const principals = accounts.map((account) => `"cluster.local/ns/${namespace}/sa/${account}"`).join(', ');
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: ${app} } }
  action: ${action}
  rules: [{ from: [{ source: { principals: [${principals}] } }] }]
`;
}
