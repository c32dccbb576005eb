import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child, Spawn } from '#testbed/child.ts';
import { startChild } from '#testbed/child.ts';
import type { FabricPlan, NodeName } from '#testbed/fabric/plan.ts';
import { NODE_NAMES } from '#testbed/fabric/plan.ts';
import { RUN_VARIABLE } from '#testbed/observe/processes.ts';
import type { Probe } from '#testbed/probe/probe-client.ts';
import { createProbe } from '#testbed/probe/probe-client.ts';
import { REPO_ROOT } from '#testbed/weft-command.ts';
import { startAgent } from './agent.ts';
import type { App } from './app.ts';
import { startWorkload } from './app.ts';
import { issueToken, startControl } from './control.ts';
import { insideScript } from './inside-script.ts';
import { startOutsiders } from './outsiders.ts';
import type { MeshPaths } from './paths.ts';
import { meshPaths } from './paths.ts';
import type { WorkloadSpec } from './shop.ts';
import { PROBE_WORKLOADS, probeWorkload, SHOP_WORKLOADS } from './shop.ts';

/** Starting is mostly compiling; more at once than this only makes each slower. */
const STARTS_AT_ONCE_MAX = 4;

/** Whether a process is the control plane or an agent, and no app. */
export function isMeshPart({ name }: Child): boolean {
  return name === 'control' || name.startsWith('agent ');
}

/** The running mesh of the demo: every process of it, by name. */
export class DemoMesh {
  readonly plan: FabricPlan;
  readonly paths: MeshPaths;
  #control: Child | null = null;
  readonly #agents = new Map<NodeName, Child>();
  readonly #workloads = new Map<string, App>();
  readonly #outsiders = new Map<string, App>();
  readonly #probes = new Map<string, Probe>();
  readonly #spawned: Child[] = [];
  #closing = false;

  constructor(plan: FabricPlan) {
    this.plan = plan;
    this.paths = meshPaths(plan);
  }

  /** Starts control plane, agents, the shop and the programs outside; `tell` hears what is being done. */
  async start(tell: (what: string) => void): Promise<void> {
    await cp(join(REPO_ROOT, 'examples/bookshop/mesh'), this.paths.configDir, { recursive: true });
    for (const dir of [this.paths.stateDir, this.paths.meshRunDir, this.paths.pidDir]) await mkdir(dir, { mode: 0o700 });
    await writeFile(this.paths.insideScript, insideScript(this.plan), { mode: 0o700 });
    tell('starting the control plane');
    await this.startControl();
    tell('starting the agents of alpha and beta');
    for (const node of NODE_NAMES) await issueToken(this.plan, node);
    await Promise.all([...NODE_NAMES.map((node) => this.startAgent(node)), this.#startOutsiders()]);
    tell(`starting the shop: ${SHOP_WORKLOADS.map(({ name }) => name).join(', ')}`);
    const specs = [...SHOP_WORKLOADS, ...PROBE_WORKLOADS];
    await Promise.all(
      Array.from({ length: STARTS_AT_ONCE_MAX }, async () => {
        for (let spec = specs.shift(); spec !== undefined; spec = specs.shift()) await this.runWorkload(spec);
      }),
    );
  }

  async #startOutsiders(): Promise<void> {
    const outsiders = await startOutsiders(this.plan, this.#spawn);
    for (const app of Object.values(outsiders)) this.#outsiders.set(app.name, app);
  }

  async startControl(): Promise<void> {
    this.#control = await startControl(this.plan, this.#spawn);
  }

  async startAgent(node: NodeName): Promise<void> {
    this.#agents.set(node, await startAgent(this.plan, node, this.#spawn));
  }

  /** Runs one more workload. Errors: those of `startWorkload`. */
  async runWorkload(spec: WorkloadSpec): Promise<App> {
    const app = await startWorkload(this.plan, spec, this.#spawn);
    this.#workloads.set(spec.name, app);
    return app;
  }

  /** Runs one more probe as a workload, with a service account of its own name. */
  async runProbe(name: string, node: NodeName): Promise<Probe> {
    await this.runWorkload(probeWorkload(name, node));
    return this.probe(name);
  }

  /** Ends a workload's process; `weft run` then removes the workload. */
  async stopWorkload(name: string): Promise<void> {
    const app = this.#workloads.get(name);
    this.#workloads.delete(name);
    this.#probes.delete(name);
    await rm(join(this.paths.pidDir, name), { force: true });
    await app?.child.stop();
  }

  /** Ends everything but the control plane and the agents, also what has not finished starting. */
  async stopApps(): Promise<void> {
    await Promise.all(this.#spawned.filter((child) => !isMeshPart(child)).map((child) => child.stop()));
    for (const apps of [this.#workloads, this.#outsiders, this.#probes]) apps.clear();
  }

  get control(): Child {
    if (this.#control === null) throw new Error('the control plane was not started');
    return this.#control;
  }

  agent(node: NodeName): Child {
    const agent = this.#agents.get(node);
    if (agent === undefined) throw new Error(`the agent of ${node} was not started`);
    return agent;
  }

  /** A running workload, or a program outside the mesh. */
  app(name: string): App {
    const app = this.#workloads.get(name) ?? this.#outsiders.get(name);
    if (app === undefined) throw new Error(`there is no app ${name}`);
    return app;
  }

  /** The probe that runs under a name: `shopper`, `stranger`, `clerk`, `outside`, `bystander`, or one of `runProbe`. */
  probe(name: string): Probe {
    const app = this.app(name);
    const probe = this.#probes.get(name) ?? createProbe(app.child, app.pid);
    this.#probes.set(name, probe);
    return probe;
  }

  /** From now on nothing more is started; a start that is still going on fails. */
  refuseStarts(): void {
    this.#closing = true;
  }

  /** Every process that was ever started. */
  children(): readonly Child[] {
    return this.#spawned;
  }

  readonly #spawn: Spawn = (options) => {
    if (this.#closing) throw new Error(`${options.name} is not started: the demo is ending`);
    const child = startChild(options, { [RUN_VARIABLE]: this.plan.runId });
    this.#spawned.push(child);
    return child;
  };
}
