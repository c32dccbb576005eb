import { cp, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type App, FAMILIES, type Family, insideScript, startWorkload, type WorkloadSpec } from '#testbed/lab/app.ts';
import { Lab } from '#testbed/lab/lab.ts';
import type { LabPlan, NodeName } from '#testbed/nodes/plan.ts';
import type { CommandResult } from '#testbed/processes/command.ts';
import { REPO_ROOT } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { bystanderCgroup, startOutsiders } from './outsiders.ts';
import { createProbe, type Probe } from './probe-client.ts';
import { PROBE_WORKLOADS, probeWorkload, SHOP_WORKLOADS, vip } from './shop.ts';

/** Starting is mostly compiling; more at once than this only makes each slower. */
const STARTS_AT_ONCE_MAX = 4;
const READY_TIMEOUT_MS = 40_000;

/** The bookshop in a lab of two nodes, over a copy of examples/bookshop/mesh; checks edit that copy. */
export class Bookshop extends Lab {
  /** Runs a command inside a workload. */
  readonly insidePath: string;
  readonly #workloads = new Map<string, App>();
  readonly #outsiders = new Map<string, App>();
  readonly #probes = new Map<string, Probe>();

  constructor(plan: LabPlan) {
    super(plan, join(plan.runDir, 'mesh'));
    this.insidePath = join(plan.runDir, 'inside');
  }

  /** Starts control plane, agents, the programs outside and the shop. */
  override async start(tell: (what: string) => void): Promise<void> {
    await cp(join(REPO_ROOT, 'examples/bookshop/mesh'), this.configDir, { recursive: true });
    await writeFile(this.insidePath, insideScript(this.plan), { mode: 0o700 });
    await super.start(tell);
    tell(`starting the shop: ${SHOP_WORKLOADS.map(({ name }) => name).join(', ')}`);
    const specs = [...SHOP_WORKLOADS, ...PROBE_WORKLOADS];
    const worker = async (): Promise<void> => {
      for (let spec = specs.shift(); spec !== undefined; spec = specs.shift()) await this.runWorkload(spec);
    };
    await Promise.all([this.#startOutsiders(), ...Array.from({ length: STARTS_AT_ONCE_MAX }, worker)]);
  }

  async #startOutsiders(): Promise<void> {
    const outsiders = await startOutsiders(this.plan, this.spawn);
    for (const app of [this.resolver, ...Object.values(outsiders)]) this.#outsiders.set(app.name, app);
  }

  /** Runs one more workload. Errors: those of `startWorkload`. */
  async runWorkload(spec: WorkloadSpec): Promise<App> {
    const app = await startWorkload(this.plan, spec, this.spawn);
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

  override async stopApps(): Promise<void> {
    await super.stopApps();
    for (const apps of [this.#workloads, this.#outsiders, this.#probes]) apps.clear();
  }

  override async leave(): Promise<CommandResult> {
    await this.stopApps();
    await rmdir(bystanderCgroup(this.plan)).catch(() => {});
    return super.leave();
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
}

/** Waits until what the checks and the visitor take for granted works: TCP on every path, HTTP through the waypoint. */
export async function waitReady(mesh: Bookshop, signal?: AbortSignal): Promise<void> {
  const echoes = ['shopper', 'clerk'].flatMap((name) =>
    (['echo-near', 'echo-far'] as const).flatMap((service) =>
      FAMILIES.map((family) => echoReady(mesh, name, service, family, signal)),
    ),
  );
  await Promise.all([...echoes, ...FAMILIES.map((family) => shopReady(mesh, family, signal))]);
}

function echoReady(
  mesh: Bookshop,
  name: string,
  service: 'echo-near' | 'echo-far',
  family: Family,
  signal?: AbortSignal,
): Promise<unknown> {
  const ask = async (): Promise<boolean> => {
    const { error, stage } = await mesh.probe(name).connect(vip(service, family));
    if (error !== null) throw new Error(`${error} at ${stage}`);
    return true;
  };
  return waitUntil(`connection from ${name} to ${service} over IPv${family}`, READY_TIMEOUT_MS, ask, signal);
}

/** The whole shop answers: storefront, details, and reviews through the waypoint. */
function shopReady(mesh: Bookshop, family: Family, signal?: AbortSignal): Promise<unknown> {
  const ask = async (): Promise<boolean> => {
    const { statuses, errors, body } = await mesh.probe('shopper').http({ ...vip('storefront', family), path: '/?book=7' });
    if (statuses['200'] !== 1) throw new Error(JSON.stringify({ statuses, errors }));
    const { details, reviews } = JSON.parse(body) as { details: { title?: string }; reviews: { reviews?: string[] } };
    if (details.title === undefined || reviews.reviews === undefined) throw new Error(JSON.stringify({ details, reviews }));
    return true;
  };
  return waitUntil(`complete answer of the shop over IPv${family}`, READY_TIMEOUT_MS, ask, signal);
}
