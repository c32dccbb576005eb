import { mkdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { registerPrivate } from '#platform/files/private-places.ts';
import { type LabPlan, type NodeName, nodeOf } from '#testbed/nodes/plan.ts';
import { type Child, type Spawn, startChild } from '#testbed/processes/child.ts';
import { type CommandResult, tryCommand } from '#testbed/processes/command.ts';
import { weft } from '#testbed/processes/command-lines.ts';
import { LAB_VARIABLE } from '#testbed/processes/process-table.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type App, startResolver } from './app.ts';
import type { StopSignal } from './lab-api.ts';
import { controlStatus, issueToken, type LabPaths, labPaths, startAgent, startControl } from './parts.ts';

const UNINSTALL_TIMEOUT_MS = 30_000;
const END_WAIT_MS = 10_000;
const WAYPOINTS_WAIT_MS = 20_000;
const TAIL_LINES = 12;
/** Enough for a sentence and its fields; stacks are for the file. */
const LINE_CHARACTERS_MAX = 300;

/** Whether a process is the control plane or an agent, and no app. */
function isMeshPart({ name }: Child): boolean {
  return name === 'control' || name.startsWith('agent ');
}

/** A mesh on virtual nodes: its control plane, agents and waypoints, and a resolver outside; every process of it. */
export class Lab {
  readonly plan: LabPlan;
  readonly paths: LabPaths;
  /** The directory of resources that the control plane watches. */
  readonly configDir: string;
  #control: Child | null = null;
  #resolver: App | null = null;
  readonly #agents = new Map<NodeName, Child>();
  readonly #spawned: Child[] = [];
  #closing = false;

  constructor(plan: LabPlan, configDir: string) {
    this.plan = plan;
    this.paths = labPaths(plan);
    this.configDir = configDir;
  }

  /** Starts the control plane, the agents and the resolver; `tell` hears what is being done. */
  async start(tell: (what: string) => void): Promise<void> {
    for (const dir of [this.paths.stateDir, this.paths.meshRunDir, this.paths.pidDir]) await mkdir(dir, { mode: 0o700 });
    registerPrivate([this.plan.runDir]);
    tell('starting the control plane');
    await this.startControl();
    const nodes = this.plan.nodes.map(({ name }) => name);
    tell(`starting the agents of ${nodes.join(', ')}`);
    for (const node of nodes) await issueToken(this.plan, node);
    await Promise.all([...nodes.map((node) => this.startAgent(node)), this.#startResolver()]);
  }

  async startControl(): Promise<void> {
    this.#control = await startControl(this.plan, this.configDir, this.spawn);
  }

  async startAgent(node: NodeName): Promise<void> {
    this.#agents.set(node, await startAgent(this.plan, node, this.spawn));
  }

  /** Starts another agent of a node, which goes on with it; returns the former one, which ends when what it carries has ended. */
  async replace(node: NodeName): Promise<Child> {
    const former = this.agent(node);
    await this.startAgent(node);
    return former;
  }

  /**
   * Stops a part, `control` or a node's name, and starts it again; an agent that is not killed is replaced. Errors: WEFT_LAB_NODE,
   * and those of the start.
   */
  async restart(part: string, signal: StopSignal): Promise<void> {
    if (part !== 'control' && signal === 'SIGTERM') return void (await this.replace(nodeOf(this.plan, part).name));
    const running = part === 'control' ? this.control : this.agent(nodeOf(this.plan, part).name);
    running.signal(signal);
    await running.stop();
    if (part === 'control') await this.startControl();
    else await this.startAgent(nodeOf(this.plan, part).name);
  }

  async #startResolver(): Promise<void> {
    this.#resolver = await startResolver(this.plan, this.spawn);
  }

  /** Returns when every waypoint that the resources ask for serves. Errors: WEFT_TESTBED_TIMEOUT, with what keeps them. */
  async waypointsReady(signal?: AbortSignal): Promise<void> {
    const ask = async (): Promise<boolean> => {
      const waypoints = (await controlStatus(this.plan)).waypoints.filter(({ ready }) => !ready);
      const [problem] = waypoints.flatMap((one) => one.problem ?? []);
      if (problem !== undefined) throw new Error(problem);
      return waypoints.length === 0;
    };
    await waitUntil('waypoints', WAYPOINTS_WAIT_MS, ask, signal);
  }

  get control(): Child {
    if (this.#control === null) throw new Error('the control plane was not started');
    return this.#control;
  }

  get resolver(): App {
    if (this.#resolver === null) throw new Error('the resolver was not started');
    return this.#resolver;
  }

  agent(node: NodeName): Child {
    const agent = this.#agents.get(node);
    if (agent === undefined) throw new Error(`the agent of ${node} was not started`);
    return agent;
  }

  /** From now on nothing more is started; a start that is still going on fails. */
  refuseStarts(): void {
    this.#closing = true;
  }

  /** Every process that was ever started. */
  children(): readonly Child[] {
    return this.#spawned;
  }

  /** Ends everything but the control plane and the agents, also what has not finished starting. */
  async stopApps(): Promise<void> {
    await Promise.all(this.#spawned.filter((child) => !isMeshPart(child)).map((child) => child.stop()));
  }

  /**
   * Takes the running mesh down the way a user would: the apps first, then `weft uninstall`, which ends the rest.
   * Returns what `weft uninstall` said; whether it did its work is for the caller to see.
   */
  async leave(): Promise<CommandResult> {
    await this.stopApps();
    const { meshRunDir, stateDir } = this.paths;
    const line = weft('uninstall', '--yes', '--run-dir', meshRunDir, '--state-dir', stateDir, '--bpffs', this.plan.bpffsMount);
    const said = await tryCommand(line, UNINSTALL_TIMEOUT_MS);
    const ended = Promise.all(this.#spawned.map((child) => child.ended));
    await Promise.race([ended, sleep(END_WAIT_MS, undefined, { ref: false })]);
    return said;
  }

  readonly spawn: Spawn = (options) => {
    if (this.#closing) throw new Error(`${options.name} is not started: the lab is ending`);
    const child = startChild(options, { [LAB_VARIABLE]: this.plan.id });
    this.#spawned.push(child);
    return child;
  };
}

/** The last lines of the logs that most likely say what went wrong: of whatever ended by itself, else of the mesh's own parts. */
export async function logTails(children: readonly Child[]): Promise<string> {
  const ended = children.filter((child) => child.endedByItself());
  const telling = ended.length > 0 ? ended : children.filter(isMeshPart);
  const tails = await Promise.all(
    telling.map(async ({ name, logPath, ending }) => {
      const lines = (await readFile(logPath, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-TAIL_LINES);
      const end = ending();
      const how = end === null ? 'still runs' : `ended with ${end.signal ?? `exit code ${end.code}`}`;
      return `\n${name} (${how}), end of ${logPath}:\n${lines.map((line) => `  ${line.slice(0, LINE_CHARACTERS_MAX)}\n`).join('')}`;
    }),
  );
  return tails.join('');
}
