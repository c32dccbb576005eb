import { chooseAgentSocket, type RunOptions } from '#cli/run.ts';
import { type RunEffects, runWorkload, type WorkloadOptions } from '#cli/run-workload.ts';
import { agentsBelow } from '#platform/files/run-dir.ts';
import { launchIn } from '#platform/linux/sandbox/launch.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';

const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];

/** `weft run`. */
export async function run(options: RunOptions): Promise<number> {
  requireRoot('entering a network namespace');
  return runOn(agentClient(chooseAgentSocket(options, () => agentsBelow(options.runDir))), options);
}

/** The same with an agent that is known, or with something that stands for one. */
export function runOn(agent: RunEffects['agent'], options: WorkloadOptions): Promise<number> {
  return runWorkload(options, {
    agent,
    launch: (sandbox, command) => launchIn(sandbox, command, { env: process.env, cwd: process.cwd(), mountResolvConf: true }),
    onSignal,
    warn: (sentence) => void process.stderr.write(sentence),
  });
}

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
