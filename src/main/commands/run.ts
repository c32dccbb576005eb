import { capabilityWarnings, chooseAgentSocket, type RunOptions } from '#cli/run.ts';
import { type RunEffects, runWorkload, type WorkloadOptions } from '#cli/run-workload.ts';
import { type Rights, workloadRights } from '#model/rights/rights.ts';
import { agentsBelow } from '#platform/files/run-dir.ts';
import { findAccount } from '#platform/linux/confine/rights.ts';
import { launchIn } from '#platform/linux/sandbox/launch.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';

/** Every signal by which people and supervisors steer a process; the rest keeps its effect on this process. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];

/** `weft run`. Errors: WEFT_NOT_ROOT, WEFT_NO_AGENT, WEFT_WHICH_AGENT, and those of `runWorkload`. */
export async function run(options: RunOptions): Promise<number> {
  requireRoot('entering a network namespace');
  const agent = agentClient(chooseAgentSocket(options, () => agentsBelow(options.runDir)));
  return runOn(agent, options, await rightsOf(options));
}

/** What a command line leaves a workload; warns of what lets it out. Errors: WEFT_NO_USER. */
export async function rightsOf({ user, capAdd }: Pick<RunOptions, 'user' | 'capAdd'>): Promise<Rights> {
  for (const warning of capabilityWarnings(capAdd)) process.stderr.write(warning);
  return workloadRights(user === null ? null : await findAccount(user), capAdd);
}

/**
 * The same with an agent that is known, or with something that stands for one: a lab runs commands on hosts without an
 * agent this way. Environment and working directory are those of this process, as a shell would have it.
 * `rights` null: all that this process may do, for what is no workload.
 */
export function runOn(agent: RunEffects['agent'], options: WorkloadOptions, rights: Rights | null): Promise<number> {
  return runWorkload(options, {
    agent,
    launch: (sandbox, command) =>
      launchIn(sandbox, command, { env: process.env, cwd: process.cwd(), mountResolvConf: true, rights }),
    onSignal,
    warn: (sentence) => void process.stderr.write(sentence),
  });
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
