import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WaypointRunner, WaypointSpec } from '#control-plane/waypoints/runner.ts';
import { WeftError } from '#model/error.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { COMMAND } from '#model/settings/host.ts';
import { launchIn } from '#platform/linux/sandbox/launch.ts';
import { agentClient } from '#platform/local-api/clients.ts';

const WEFT_ENTRY = new URL('../weft.ts', import.meta.url).pathname;

/** What a runner needs to know of its machine. */
export type WaypointRunnerOptions = {
  /** Socket of the agent whose node hosts the waypoints. */
  agentSocket: string;
  /** Where waypoints reach the control plane: `unix:<path>`, since they have a network namespace of their own. */
  controlAddress: string;
  rootFile: string;
  /** Directory for what is known of running waypoints, their tokens and logs. */
  dir: string;
};

/** What is kept on disk of one waypoint, so that a restarted control plane adopts it. */
type Kept = { spec: WaypointSpec; pid: number; startTime: string };

/** Runs each waypoint as a workload of the local node, in a process that outlives the control plane. */
export function waypointRunner(options: WaypointRunnerOptions): WaypointRunner {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const agent = agentClient(options.agentSocket);
  const children = new Set<() => void>();
  const file = (key: { namespace: string; name: string }, ending: string): string =>
    join(options.dir, `${key.namespace}.${key.name}.${ending}`);
  return {
    async start(spec, token) {
      const { node, kernel } = await agent.status();
      const sandbox = await agent.start({
        name: spec.name,
        namespace: spec.namespace,
        serviceAccount: spec.serviceAccount,
        labels: { ...spec.labels },
        nativeTunnel: true,
      });
      writeFileSync(file(spec, 'token'), token, { mode: 0o600 });
      const child = launch(
        sandbox,
        commandOf(options, spec, { node, pinDir: kernel.pinDir, tokenFile: file(spec, 'token') }),
        file(spec, 'log'),
      );
      const { pid } = child;
      if (pid === undefined) throw new WeftError('WEFT_WAYPOINT_START', `cannot start waypoint ${spec.namespace}/${spec.name}`);
      const startTime = startTimeOf(pid) ?? '';
      writeFileSync(file(spec, 'json'), JSON.stringify({ spec, pid, startTime } satisfies Kept), { mode: 0o600 });
      child.once('exit', () => {
        for (const changed of children) changed();
      });
      child.unref();
    },
    async stop(key) {
      const kept = readKept(file(key, 'json'));
      if (kept !== null) await end(kept);
      await agent.stop(key.namespace, key.name).catch((error: unknown) => {
        if (!(error instanceof WeftError) || error.code !== 'WEFT_NO_AGENT') throw error;
      });
      for (const ending of ['json', 'token', 'log']) rmSync(file(key, ending), { force: true });
    },
    async list() {
      return readdirSync(options.dir)
        .filter((name) => name.endsWith('.json'))
        .flatMap((name) => readKept(join(options.dir, name)) ?? [])
        .filter(isAlive)
        .map(({ spec }) => spec);
    },
    watch(changed) {
      children.add(changed);
      return () => children.delete(changed);
    },
  };
}

function commandOf(
  options: WaypointRunnerOptions,
  spec: WaypointSpec,
  on: { node: string; pinDir: string; tokenFile: string },
): string[] {
  const flags = {
    namespace: spec.namespace,
    gateway: spec.name,
    'service-account': spec.serviceAccount,
    node: on.node,
    control: options.controlAddress,
    'control-root': options.rootFile,
    'token-file': on.tokenFile,
    'pin-dir': on.pinDir,
  };
  return [process.execPath, WEFT_ENTRY, 'waypoint', ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])];
}

/** The log goes to a file, because the process outlives this one and its pipes. */
function launch(sandbox: Parameters<typeof launchIn>[0], command: string[], logFile: string): ChildProcess {
  const log = openSync(logFile, 'a', 0o600);
  try {
    return launchIn(sandbox, command, { env: process.env, cwd: '/', mountResolvConf: false, stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

function readKept(path: string): Kept | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Kept;
  } catch {
    return null; // gone, or half written by a process that was killed: it is started anew
  }
}

/** Field 22 of /proc/PID/stat: guards against a re-used process id. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function isAlive({ pid, startTime }: Kept): boolean {
  return startTimeOf(pid) === startTime;
}

async function end(kept: Kept): Promise<void> {
  if (!isAlive(kept)) return;
  process.kill(kept.pid, 'SIGTERM');
  for (let waited = 0; waited < CONTROL.waypointStopMs && isAlive(kept); waited += COMMAND.pollMs) {
    await new Promise((resolve) => setTimeout(resolve, COMMAND.pollMs));
  }
  if (isAlive(kept)) process.kill(kept.pid, 'SIGKILL');
}
