import type { Clock } from '#model/effects/clock.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { COMMAND } from '#model/settings/host.ts';
import type { StartedWorkload } from '#protocol/api/agent.ts';
import type { WaypointRunner, WaypointSpec } from './plan.ts';

/** The agent of the node that hosts the waypoints. Errors of every method: WEFT_NO_AGENT, and those the agent gives. */
export type HostAgent = {
  status(): Promise<{ node: string; kernel: { pinDir: string } }>;
  /** Makes the sandbox of a workload. */
  start(workload: WorkloadRequest): Promise<StartedWorkload>;
  stop(namespace: string, name: string): Promise<void>;
};

/** The processes of this machine. */
export type Processes = {
  /**
   * Starts a command in a sandbox and returns its process id, or null when it cannot be. It outlives this process, so what it
   * prints goes to a file. `ended` is called when it ends while this process still runs.
   */
  launch(sandbox: StartedWorkload, command: readonly string[], logFile: string, ended: () => void): number | null;
  /** Tells a process from a later one with the same id; null: there is none. */
  startTimeOf(pid: number): string | null;
  signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void;
  /** Removes the log of one that is gone for good; there may be none. */
  forgetLog(logFile: string): void;
};

/** What a runner needs of its machine. */
export type ProcessRunnerOptions = {
  agent: HostAgent;
  processes: Processes;
  /** What is known of running waypoints, and their tokens; its texts are files of `dir`. */
  store: StateStore;
  dir: string;
  /** Where what a waypoint prints goes. */
  logFileOf(waypoint: { namespace: string; name: string }): string;
  /** What `weft` is started as, before its arguments. */
  weft: readonly string[];
  /** Where waypoints reach the control plane: `unix:<path>`, since they have a network namespace of their own. */
  controlAddress: string;
  rootFile: string;
  /** Data threads of a waypoint; null: it says itself. */
  threads?: number | null;
  /** Where it tells of traced requests, and how many in a hundred; null: it traces none. */
  traces?: { collector: string; percent: number } | null;
  /** How its log tells of requests, in Envoy's words; null: as fields. */
  accessLogFormat?: string | null;
  clock: Clock;
};

/** In the place of the id of a process that waits for the next one. */
const NOT_FOLLOWED = '';

/** A process, and no later one with its id. */
type Running = { pid: number; startTime: string };

/**
 * What is kept on disk of one waypoint, so that a restarted control plane adopts it. `before`: the one that it was started beside, which
 * serves on should this one end before it could take its place.
 */
type Kept = Running & { spec: WaypointSpec; sandbox: StartedWorkload; before?: Running | null };

/** Runs each waypoint as a workload of the local node, in a process that outlives the control plane. */
export function processRunner(options: ProcessRunnerOptions): WaypointRunner {
  const { agent, processes, store } = options;
  const watchers = new Set<() => void>();
  const ended = () => {
    for (const changed of watchers) changed();
  };
  const isAlive = ({ pid, startTime }: Running) => processes.startTimeOf(pid) === startTime;
  const isLeaving = async ({ spec, pid }: Kept): Promise<boolean> => (await store.read(nameOf(spec, 'leaving'))) === String(pid);
  /** Which process the next one is started beside; null: none. */
  const followed = async ({ before = null, ...last }: Kept): Promise<Running | null> => {
    if (isAlive(last)) return (await isLeaving(last)) ? { pid: last.pid, startTime: last.startTime } : null;
    return before !== null && isAlive(before) ? before : null;
  };
  return {
    async start(spec, token) {
      const { node, kernel } = await agent.status();
      const former = parseKept(await store.read(nameOf(spec, 'json')));
      const before = former === null ? null : await followed(former);
      const sandbox = former !== null && before !== null ? former.sandbox : await agent.start(workloadOf(spec));
      await store.write(nameOf(spec, 'token'), token, { secret: true });
      await store.remove(nameOf(spec, 'leaving'));
      const command = commandOf(options, spec, { node, pinDir: kernel.pinDir });
      const pid = processes.launch(sandbox, command, options.logFileOf(spec), ended);
      if (pid === null) throw new WeftError('WEFT_WAYPOINT_START', `cannot start waypoint ${spec.namespace}/${spec.name}`);
      const kept: Kept = { spec, pid, startTime: processes.startTimeOf(pid) ?? '', sandbox, before };
      try {
        await store.write(nameOf(spec, 'json'), JSON.stringify(kept), { secret: true });
      } catch (error) {
        // One that nobody knows of would be there beside the next one.
        processes.signal(pid, 'SIGKILL');
        throw error;
      }
    },
    renew: (key, token) => store.write(nameOf(key, 'token'), token, { secret: true }),
    async stop(key) {
      const kept = parseKept(await store.read(nameOf(key, 'json')));
      // What is there already tells it that no other one comes.
      await store.write(nameOf(key, 'leaving'), NOT_FOLLOWED, { secret: true });
      if (kept !== null) await end(kept, options);
      await agent.stop(key.namespace, key.name).catch((error: unknown) => {
        // Without its agent the sandbox cannot be removed; the next one finds and removes what nobody uses.
        if (!(error instanceof WeftError) || error.code !== 'WEFT_NO_AGENT') throw error;
      });
      for (const ending of ['json', 'token', 'leaving'] as const) await store.remove(nameOf(key, ending));
      processes.forgetLog(options.logFileOf(key));
    },
    async list() {
      const names = (await store.list('')).filter((name) => name.endsWith('.json'));
      const kept = (await Promise.all(names.map(async (name) => parseKept(await store.read(name))))).filter(
        (one) => one !== null,
      );
      return Promise.all(
        kept.filter(isAlive).map(async (one) => ((await isLeaving(one)) ? { ...one.spec, leaving: true } : one.spec)),
      );
    },
    watch(changed) {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
  };
}

/** The name of what is kept for a waypoint; namespaces have no dots, so no two waypoints meet. */
function nameOf({ namespace, name }: { namespace: string; name: string }, ending: 'json' | 'token' | 'leaving'): string {
  return `${namespace}.${name}.${ending}`;
}

function workloadOf({ name, namespace, serviceAccount, labels }: WaypointSpec): WorkloadRequest {
  return { name, namespace, serviceAccount, labels: { ...labels }, nativeTunnel: true };
}

function commandOf(options: ProcessRunnerOptions, spec: WaypointSpec, on: { node: string; pinDir: string }): string[] {
  const flags = {
    namespace: spec.namespace,
    gateway: spec.name,
    'service-account': spec.serviceAccount,
    node: on.node,
    control: options.controlAddress,
    'control-root': options.rootFile,
    'token-file': `${options.dir}/${nameOf(spec, 'token')}`,
    'leaving-file': `${options.dir}/${nameOf(spec, 'leaving')}`,
    'pin-dir': on.pinDir,
  };
  const { threads = null, traces = null, accessLogFormat = null } = options;
  const more = {
    ...(threads === null ? {} : { threads: String(threads) }),
    ...(traces === null ? {} : { 'trace-collector': traces.collector, 'trace-sampling': String(traces.percent) }),
    ...(accessLogFormat === null ? {} : { 'access-log-format': accessLogFormat }),
  };
  return [...options.weft, 'waypoint', ...Object.entries({ ...flags, ...more }).flatMap(([name, value]) => [`--${name}`, value])];
}

/** null: gone, or half written by a process that was killed; the waypoint is started anew. */
function parseKept(text: string | null): Kept | null {
  try {
    return text === null ? null : (JSON.parse(text) as Kept);
  } catch {
    return null;
  }
}

/** Asks the process to end, which drains its connections first, and insists when it takes too long. */
async function end({ pid, startTime }: Kept, { processes, clock }: ProcessRunnerOptions): Promise<void> {
  const isAlive = () => processes.startTimeOf(pid) === startTime;
  if (!isAlive()) return;
  processes.signal(pid, 'SIGTERM');
  for (let waitedMs = 0; waitedMs < CONTROL.waypointStopMs && isAlive(); waitedMs += COMMAND.pollMs) {
    await new Promise<void>((resolve) => clock.after(COMMAND.pollMs, resolve));
  }
  if (isAlive()) processes.signal(pid, 'SIGKILL');
}
