import type { RunEffects } from '#cli/run-workload.ts';

/** Every signal by which people and supervisors steer a process; the rest keeps its effect on this process. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];

/** Hears signals for the command; while it does, none of them ends this process, which has a workload to remove. */
export const onSignal: RunEffects['onSignal'] = (listener) => {
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

/** Hears that this process is to end, also while no command runs that could be told. A reload (SIGHUP without a terminal) is none. */
export function onAsked(listener: () => void): () => void {
  const ignore = (): void => {};
  const hangup = process.stdin.isTTY || process.stderr.isTTY ? listener : ignore;
  const heard = [
    ...(['SIGINT', 'SIGQUIT', 'SIGTERM'] as const).map((name) => [name, listener] as const),
    ['SIGHUP', hangup] as const,
  ];
  for (const [name, hear] of heard) process.on(name, hear);
  return () => {
    for (const [name, hear] of heard) process.off(name, hear);
  };
}
