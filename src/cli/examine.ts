import { resolve } from 'node:path';
import { type CheckFinding, foundAs } from '#model/check/finding.ts';
import { type MachineFacts, machineFindings } from '#model/check/machine.ts';
import {
  type Listener,
  type NetworkFacts,
  type NodeRanges,
  networkFindings,
  portFindings,
  type WantedPort,
} from '#model/check/network.ts';
import {
  agentFindings,
  agentsHere,
  type ControlFacts,
  controlFindings,
  type Leftovers,
  leftoverFindings,
  type ResourceFinding,
  resourceFindings,
} from '#model/check/parts.ts';
import { type PlaceFacts, placeFindings, socketPathFindings } from '#model/check/places.ts';
import type { Area } from '#model/check/row.ts';
import { type ControlAnswer, joinFindings, type RootFacts, rootFindings, type TokenFacts } from '#model/check/trust.ts';
import { WeftError } from '#model/error.ts';
import type { Holding, KnownHolding } from '#model/instance/holding.ts';
import { PORT } from '#model/mesh/ports.ts';
import { agentSocketPath } from '#protocol/api/places.ts';
import type { AgentPlace, ControlAccess } from './agent.ts';
import type { CheckOptions } from './check.ts';
import type { NodeReport, StatusReport } from './status.ts';
import { nodeNameOf } from './up.ts';

/** A machine, as it is looked at. Nothing of it is changed. */
export type Surveys = {
  hostname: string;
  /** Errors: WEFT_NOT_ROOT. */
  status(runDir: string): Promise<StatusReport>;
  /** A status of nothing. */
  nothing(): StatusReport;
  knownNodes(): readonly KnownHolding[];
  realPlace(path: string): string;
  /** What the agent of a place takes. Errors: WEFT_CGROUP2. */
  holdingOf(place: AgentPlace): Promise<Holding>;
  /** Errors: WEFT_NODE_HELD, WEFT_POOL_OVERLAP when it cannot be had. */
  requireNode(wanted: Holding): void;
  machineProblems(): readonly WeftError[];
  machine(bpffs: string, agents: readonly { who: string; pid: number }[]): MachineFacts;
  network(nodes: readonly NodeRanges[]): Promise<NetworkFacts>;
  listeners(ports: ReadonlySet<number>): readonly Listener[];
  place(purpose: 'state' | 'sockets', path: string): PlaceFacts;
  logs(stateDir: string): PlaceFacts;
  authority(stateDir: string): RootFacts | null;
  root(path: string): RootFacts;
  token(path: string): TokenFacts;
  control(place: { address: string; rootFile: string | null; serverName: string | null }): Promise<ControlAnswer>;
  /** How a running agent was told to reach its control plane. */
  joinsOf(pid: number): readonly ControlAccess[];
  stateDirOf(pid: number, usual: string): string;
  /** Errors: those of reading the files. */
  resources(directory: string): Promise<readonly ResourceFinding[]>;
  leftovers(place: { runDir: string; stateDir: string; bpffs: string }): Leftovers | null;
};

/** What runs here, and what is to run here. */
type Scene = {
  status: StatusReport;
  /** The node that is planned here; null: there is one. */
  planned: string | null;
  /** Where the state of this machine's control plane is; null: it has none, and is to have none. */
  stateDir: string | null;
  joins: readonly (ControlAccess & { node: string | null })[];
  ranges: readonly NodeRanges[];
};

/** Everything that is wrong with a machine and the mesh on it, and what was looked at. */
export async function examine(
  options: CheckOptions,
  surveys: Surveys,
): Promise<{ findings: CheckFinding[]; lookedAt: Set<Area> }> {
  const status = await statusOrNothing(options.runDir, surveys);
  const scene = await sceneOf(options, status, surveys);
  const { nowMs, version } = status;
  const agents = agentsHere(status.nodes, surveys.knownNodes(), surveys.realPlace(options.runDir));
  const control: ControlFacts = status.control.kind === 'down' ? { kind: 'down', reason: status.control.error } : status.control;
  const [resources, trust] = await Promise.all([resourcesOf(options, status, surveys), ofTrust(scene, nowMs, surveys)]);
  const leftovers = surveys.leftovers({ ...options, stateDir: scene.stateDir ?? options.stateDir });
  const findings = [
    ...ofMachine(options, scene, surveys),
    ...(await ofNode(options, scene, surveys)),
    ...(await ofNetwork(options, scene, surveys)),
    ...ofPlaces(options, scene, surveys),
    ...(resources ?? []),
    ...(trust ?? []),
    ...controlFindings(control, version),
    ...agents.flatMap((agent) => agentFindings(agent, version, nowMs)),
    ...(leftovers === null ? [] : leftoverFindings(leftovers)),
  ];
  const lookedAt = new Set<Area>(['machine', 'limits', 'ports', 'network', 'names', 'places']);
  if (leftovers !== null) lookedAt.add('leftovers');
  if (resources !== null) lookedAt.add('configuration');
  if (trust !== null) lookedAt.add('certificates').add('clock');
  if (control.kind !== 'absent' || scene.joins.length > 0) lookedAt.add('control plane');
  if (agents.length > 0) lookedAt.add('agents');
  return { findings, lookedAt };
}

/** Who is not root is told so; the parts that only root can ask are as good as not there. */
async function statusOrNothing(runDir: string, surveys: Surveys): Promise<StatusReport> {
  try {
    return await surveys.status(runDir);
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return surveys.nothing();
  }
}

async function sceneOf(options: CheckOptions, status: StatusReport, surveys: Surveys): Promise<Scene> {
  const { control, runDir } = options;
  const place = surveys.realPlace(runDir);
  const holdings = surveys.knownNodes().filter((holding) => holding.runDir === place);
  const planned = holdings.length + status.nodes.length > 0 ? null : (options.node ?? nodeNameOf(surveys.hostname));
  const wanted = planned === null ? [] : await plannedRanges(options, planned, surveys);
  const running = status.nodes.flatMap((node) => (node.kind === 'up' ? [node] : []));
  const stateDir =
    status.control.kind === 'up'
      ? surveys.stateDirOf(status.control.status.pid, options.stateDir)
      : control === null
        ? options.stateDir
        : null;
  return {
    status,
    planned,
    stateDir,
    joins: [
      ...(control === null ? [] : [{ ...control, node: planned ?? options.node }]),
      ...running.flatMap(({ status: { node, pid } }) => surveys.joinsOf(pid).map((join) => ({ ...join, node }))),
    ],
    ranges: [...wanted, ...holdings.map((holding) => ({ ...holding, planned: false }))],
  };
}

/** None where there is no cgroup v2: that is told by itself. */
async function plannedRanges(options: CheckOptions, node: string, surveys: Surveys): Promise<NodeRanges[]> {
  try {
    return [{ ...(await surveys.holdingOf({ ...options, node, cgroup: null })), planned: true }];
  } catch {
    return [];
  }
}

function ofMachine({ bpffs }: CheckOptions, { status }: Scene, surveys: Surveys): CheckFinding[] {
  const problems = surveys.machineProblems().map((error) => asFinding(error, 'machine'));
  const agents = status.nodes.flatMap((node) => (node.kind === 'up' ? [limitedOf(node)] : []));
  return [...problems, ...machineFindings(surveys.machine(bpffs, agents))];
}

function limitedOf({ status: { node, pid } }: NodeReport & { kind: 'up' }): { who: string; pid: number } {
  return { who: `the agent of node ${node}`, pid };
}

/** Whether the planned node can be had. */
async function ofNode(options: CheckOptions, { planned }: Scene, surveys: Surveys): Promise<CheckFinding[]> {
  if (planned === null) return [];
  const findings = socketPathFindings(agentSocketPath(options.runDir, planned));
  try {
    surveys.requireNode(await surveys.holdingOf({ ...options, node: planned, cgroup: null }));
    return findings;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return error.code === 'WEFT_CGROUP2' ? findings : [...findings, asFinding(error, 'network')];
  }
}

async function ofNetwork(
  options: CheckOptions,
  { status, planned, joins, ranges }: Scene,
  surveys: Surveys,
): Promise<CheckFinding[]> {
  const isControlPlanned = status.control.kind === 'absent' && joins.length === 0;
  const page = (purpose: string, port: number): WantedPort => ({ purpose, host: '127.0.0.1', port, isPage: true });
  const wanted = [
    ...(isControlPlanned
      ? [{ purpose: 'the control plane', ...options.listen, isPage: false }, page('its metrics page', PORT.controlStats)]
      : []),
    ...(planned === null ? [] : [page("the agent's metrics page", PORT.stats)]),
  ];
  const facts = await surveys.network(ranges);
  const listeners = surveys.listeners(new Set(wanted.map(({ port }) => port)));
  return [...portFindings(wanted, listeners, facts.outgoingPorts), ...networkFindings(facts, ranges)];
}

function ofPlaces({ runDir }: CheckOptions, { stateDir }: Scene, surveys: Surveys): CheckFinding[] {
  const places = [
    surveys.place('sockets', runDir),
    ...(stateDir === null ? [] : [surveys.place('state', stateDir), surveys.logs(stateDir)]),
  ];
  return places.flatMap(placeFindings);
}

/** Null: there is no certificate yet. */
async function ofTrust({ stateDir, joins }: Scene, nowMs: number, surveys: Surveys): Promise<CheckFinding[] | null> {
  const authority = stateDir === null ? null : surveys.authority(stateDir);
  if (authority === null && joins.length === 0) return null;
  const found = await Promise.all(
    joins.map(async ({ node, address, rootFile, tokenFile, serverName }) => {
      const root = surveys.root(rootFile);
      const answer = await surveys.control({ address, rootFile: root.kind === 'read' ? rootFile : null, serverName });
      return joinFindings({ node, address, root, token: surveys.token(tokenFile), answer }, nowMs);
    }),
  );
  return [...(authority === null ? [] : rootFindings(authority, true, nowMs)), ...found.flat()];
}

/** Null: there is nothing to look at. */
async function resourcesOf(
  { directory }: CheckOptions,
  { control }: StatusReport,
  surveys: Surveys,
): Promise<CheckFinding[] | null> {
  if (directory === null) return control.kind === 'up' ? resourceFindings(control.status.findings) : null;
  try {
    return resourceFindings(await surveys.resources(resolve(directory)));
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return [asFinding(error, 'configuration')];
  }
}

function asFinding({ code, message, remedy, cause }: WeftError, area: Area): CheckFinding {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return foundAs(code, area, `${message}${why}`, remedy ?? '');
}
