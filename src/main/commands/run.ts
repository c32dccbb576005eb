import { dirname } from 'node:path';
import { USUAL_STATE_DIR } from '#cli/command.ts';
import type { LaunchWishes } from '#cli/launch-options.ts';
import { capabilityWarnings, chooseAgentSocket, type RunOptions } from '#cli/run.ts';
import { type RunEffects, runWorkload, type WorkloadOptions } from '#cli/run-workload.ts';
import { workloadRights } from '#model/rights/rights.ts';
import { privatePlaces } from '#platform/files/private-places.ts';
import { agentsBelow } from '#platform/files/run-dir.ts';
import { limitCgroup, oomKills } from '#platform/linux/cgroup/limits.ts';
import { refuseCalls, takeTerminalBack } from '#platform/linux/confine/init.ts';
import { findAccount } from '#platform/linux/confine/rights.ts';
import { readChosen } from '#platform/linux/sandbox/chosen.ts';
import { launchConfined } from '#platform/linux/sandbox/confined.ts';
import { launchIn } from '#platform/linux/sandbox/launch.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { tell } from '#platform/telemetry/notices.ts';
import type { StartedWorkload } from '#protocol/api/agent.ts';

/** Every signal by which people and supervisors steer a process; the rest keeps its effect on this process. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];

/**
 * `weft run`. Errors: WEFT_NOT_ROOT, WEFT_NO_AGENT, WEFT_WHICH_AGENT, WEFT_NO_USER, WEFT_SHARE, WEFT_LIMIT,
 * WEFT_ENV_FILE, WEFT_DESCRIPTOR, and those of `runWorkload`.
 */
export async function run(options: RunOptions): Promise<number> {
  requireRoot('entering a network namespace');
  const socket = chooseAgentSocket(options, () => agentsBelow(options.runDir));
  return runConfined(socket, options);
}

/**
 * Runs a command as a workload of the agent behind a socket. Environment and working directory are those of this process, as a
 * shell would have it, unless others are chosen. Errors: as `run`.
 */
export async function runConfined(
  agentSocket: string,
  options: WorkloadOptions & LaunchWishes & Pick<RunOptions, 'user' | 'capAdd' | 'share'>,
): Promise<number> {
  const { user, capAdd, share, name: hostname } = options;
  const { missing, ...chosen } = readChosen(options);
  for (const name of missing) tell(`weft: there is no variable ${name} here to be passed on\n`);
  for (const warning of capabilityWarnings(capAdd)) tell(warning);
  const rights = workloadRights(user === null ? null : await findAccount(user), capAdd);
  const hidden = [...privatePlaces(), dirname(agentSocket), USUAL_STATE_DIR];
  // In this process already: nothing that it starts from here on needs them either.
  if (!refuseCalls(capAdd)) tell('weft: this kernel cannot refuse system calls to the command (docs/security.md)\n');
  const confined = { env: process.env, ...chosen, rights, hidden, shared: share, hostname };
  try {
    return await runOn(agentClient(agentSocket), options, (sandbox, command) =>
      launchConfined({ ...sandbox, twins: limitCgroup(sandbox.cgroupPath, options) }, command, confined),
    );
  } finally {
    takeTerminalBack(0);
  }
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
export function runOn(agent: RunEffects['agent'], options: WorkloadOptions, launch: RunEffects['launch']): Promise<number> {
  return runWorkload(options, { agent, launch, onSignal, warn: tell, ranOutOfMemory: ({ cgroupPath }) => oomKills(cgroupPath) });
}

/** Hears signals for the command; while it does, none of them ends this process, which has a workload to remove. */
const onSignal: RunEffects['onSignal'] = (listener) => {
  // A terminal sends Ctrl-C to the whole foreground group, so the command has it already; it must not get it twice.
  const fromTerminal = process.stdin.isTTY || process.stderr.isTTY;
  const heard = FORWARDED.map((signal) => {
    const hear = (): void => {
      if (!fromTerminal || (signal !== 'SIGINT' && signal !== 'SIGQUIT')) listener(signal);
    };
    process.on(signal, hear);
    return { signal, hear };
  });
  return () => {
    for (const { signal, hear } of heard) process.off(signal, hear);
  };
};
