import { basename, dirname, resolve } from 'node:path';
import { USUAL_STATE_DIR } from '#cli/command.ts';
import { type KeepEffects, keepRunning } from '#cli/keep-running.ts';
import type { LaunchWishes } from '#cli/launch-options.ts';
import { capabilityWarnings, chooseAgentSocket, type RunOptions, runFailed } from '#cli/run.ts';
import { type RunEffects, runWorkload, type WorkloadOptions } from '#cli/run-workload.ts';
import { showProgress } from '#main/commands/progress.ts';
import { usualUser, workloadRights } from '#model/rights/rights.ts';
import { systemClock } from '#platform/clock.ts';
import { claimDirectory, ownMark } from '#platform/files/marked-directory.ts';
import { privatePlaces } from '#platform/files/private-places.ts';
import { claimRun } from '#platform/files/run-claim.ts';
import { agentsBelow } from '#platform/files/run-dir.ts';
import { limitCgroup, oomKills } from '#platform/linux/cgroup/limits.ts';
import { refuseCalls, takeTerminalBack } from '#platform/linux/confine/init.ts';
import { findAccount } from '#platform/linux/confine/rights.ts';
import { sayAlive } from '#platform/linux/process/service.ts';
import { type ServiceManager, serviceManager } from '#platform/linux/process/service-manager.ts';
import { readChosen } from '#platform/linux/sandbox/chosen.ts';
import { type ConfinedProcess, launchConfined } from '#platform/linux/sandbox/confined.ts';
import { launchIn } from '#platform/linux/sandbox/launch.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { systemRandom } from '#platform/random.ts';
import { isInBackground, sayReady, startInBackground } from '#platform/supervisor/background.ts';
import { openLogFile } from '#platform/telemetry/log-file.ts';
import { tell } from '#platform/telemetry/notices.ts';
import { type WorkloadLog, workloadLog } from '#platform/telemetry/workload-log.ts';
import type { AgentClient, StartedWorkload } from '#protocol/api/agent.ts';
import { workloadLogPath } from '#protocol/api/places.ts';
import { onAsked, onSignal } from './signals.ts';

/** Fixed by Node.js: the longest timer. It only keeps the process alive while its command waits to be started again. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * `weft run`. Errors: WEFT_NOT_ROOT, WEFT_NO_AGENT, WEFT_WHICH_AGENT, WEFT_NO_USER, WEFT_SHARE, WEFT_LIMIT, WEFT_ENV_FILE,
 * WEFT_DESCRIPTOR, WEFT_RUN_FAILED with the end of the log, and those of `runWorkload`.
 */
export async function run(options: RunOptions): Promise<number> {
  requireRoot('entering a network namespace');
  const socket = chooseAgentSocket(options, () => agentsBelow(options.runDir));
  const manager = serviceManager();
  const { namespace, name } = options;
  const stateDir = resolve(options.stateDir);
  const logFile = workloadLogPath(stateDir, { namespace, name, node: basename(dirname(socket)) });
  const isBackground = options.detach && isInBackground();
  if (options.detach && !isBackground) return runDetached({ ...options, stateDir }, logFile);
  if (!isBackground) return runConfined(socket, options, { manager });
  return runConfined(socket, options, { log: workloadLog(openLogFile(logFile)), listener: process.ppid });
}

async function runDetached(options: RunOptions, logFile: string): Promise<number> {
  const { descriptors } = readChosen(options);
  const { stateDir, runDir, namespace, name } = options;
  if (ownMark(stateDir, 'state') === null) claimDirectory(stateDir, { kind: 'state', runDir });
  const start = () => startInBackground(WEFT_PROGRAM, process.argv.slice(2), logFile, descriptors);
  const started = await showProgress('starting the workload', start);
  if ('log' in started) throw runFailed(options, started.log);
  tell(`${namespace}/${name}\n`, 1);
  return 0;
}

/**
 * `listener`: the process that a service manager's descriptors are for; `manager`: that of this process; `log`: where what the command
 * prints goes, unless here.
 */
type Around = { log?: WorkloadLog; listener?: number; manager?: ServiceManager | null };

/**
 * Runs a command as a workload of the agent behind a socket. Environment and working directory are those of this process, as a
 * shell would have it, unless others are chosen. Errors: as `run`.
 */
export async function runConfined(
  agentSocket: string,
  options: WorkloadOptions & LaunchWishes & Pick<RunOptions, 'user' | 'capAdd' | 'share'>,
  { log, listener, manager = null }: Around = {},
): Promise<number> {
  const { capAdd, share, name, namespace, serviceAccount } = options;
  const warn = log?.tell ?? tell;
  const { missing, ...chosen } = readChosen(options, listener);
  for (const variable of missing) warn(`weft: there is no variable ${variable} here to be passed on\n`);
  for (const warning of capabilityWarnings(capAdd)) warn(warning);
  const rights = workloadRights(await findAccount(options.user ?? usualUser(process.env)), capAdd);
  const hidden = [...privatePlaces(), dirname(agentSocket), USUAL_STATE_DIR];
  const claim = claimRun(dirname(agentSocket), { pid: process.pid, namespace, name, serviceAccount });
  // In this process already: nothing that it starts from here on needs them either.
  if (!refuseCalls(capAdd)) warn('weft: this kernel cannot refuse system calls to the command (docs/security.md)\n');
  const confined = { env: process.env, ...chosen, rights, hidden, shared: share, hostname: name };
  const launch: RunEffects['launch'] = (sandbox, command) => {
    const limited = { ...sandbox, twins: limitCgroup(sandbox.cgroupPath, options) };
    return logged(launchConfined(limited, command, { ...confined, ...(log && { stdio: APART }) }), log);
  };
  const once = (started: () => void): Promise<number> =>
    runOn(patient(agentClient(agentSocket)), options, launch, { started, warn });
  const alive = setInterval(() => {}, FOREVER_MS);
  const told = tellingOf(manager);
  try {
    const { isWanted } = claim;
    const time = { clock: systemClock, random: systemRandom };
    return await keepRunning(options.restart, { ...time, ...told.effects, once, isWanted, warn });
  } finally {
    told.end();
    clearInterval(alive);
    claim.release();
    takeTerminalBack(0);
  }
}

/** Until the control plane knows the workload and its certificate is there. */
function patient(agent: AgentClient): AgentClient {
  return {
    ...agent,
    start: (workload) => showProgress('waiting until the mesh has taken the workload in', () => agent.start(workload)),
  };
}

/** Tells whoever waits that the command is there, and a manager also, from then on, that this is so, and that it is to end. */
function tellingOf(manager: ServiceManager | null): { effects: Pick<KeepEffects, 'ready' | 'onAsked'>; end(): void } {
  let end = (): void => {};
  const ready = (): void => {
    sayReady();
    manager?.ready();
    end = sayAlive(manager);
  };
  const asked: KeepEffects['onAsked'] = (listener) =>
    onAsked(() => {
      manager?.stopping();
      listener();
    });
  return { effects: { ready, onAsked: asked }, end: () => end() };
}

/** Of a command in the background. */
const APART = ['ignore', 'pipe', 'pipe'] as const;

function logged(command: ConfinedProcess, log: WorkloadLog | undefined): ConfinedProcess {
  const { stdout, stderr } = command;
  if (stdout !== null) log?.take('stdout', stdout);
  if (stderr !== null) log?.take('stderr', stderr);
  return command;
}

/** Runs a command in a namespace that is no workload's, with all that this process may do: on a host outside the mesh. */
export function runUnconfined(place: StartedWorkload, command: readonly string[]): Promise<number> {
  const options = { name: 'outside', namespace: '', serviceAccount: '', labels: {}, nativeTunnel: false, command };
  const nobody = { start: async () => place, stop: async () => {} };
  return runOn(nobody, options, (sandbox, argv) =>
    launchIn(sandbox, argv, { env: process.env, cwd: process.cwd(), mountResolvConf: true, rights: null }),
  );
}

/** Makes a workload, runs what `launch` starts, and removes it; `agent` may be something that stands for one. */
export function runOn(
  agent: RunEffects['agent'],
  options: WorkloadOptions,
  launch: RunEffects['launch'],
  { started = () => {}, warn = tell }: Partial<Pick<RunEffects, 'started' | 'warn'>> = {},
): Promise<number> {
  const ranOutOfMemory: RunEffects['ranOutOfMemory'] = ({ cgroupPath }) => oomKills(cgroupPath);
  return runWorkload(options, { agent, launch, onSignal, started, warn, ranOutOfMemory });
}
