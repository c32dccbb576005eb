import { constants } from 'node:os';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import type { AgentClient, StartedWorkload } from '#protocol/api/agent.ts';
import type { RunOptions } from './run.ts';

/** A process as far as its parent steers it; node:child_process gives the real one. */
export type Running = {
  kill(signal: NodeJS.Signals): unknown;
  /** Resolves when the command is there; never, when it could not be started. */
  ready?: Promise<void>;
  once(event: 'exit', listener: (code: number | null, signal: NodeJS.Signals | null) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
};

/** What is run, and as whom. */
export type WorkloadOptions = Pick<
  RunOptions,
  'name' | 'namespace' | 'serviceAccount' | 'labels' | 'nativeTunnel' | 'command'
> & {
  published?: RunOptions['published'];
  weight?: RunOptions['weight'];
  annotations?: RunOptions['annotations'];
};

/** What running a workload does to the world. */
export type RunEffects = {
  agent: Pick<AgentClient, 'start' | 'stop'>;
  launch(sandbox: StartedWorkload, command: readonly string[]): Running;
  /** Calls `listener` for each signal that is meant for the command; returns how to end that. */
  onSignal(listener: (signal: NodeJS.Signals) => void): () => void;
  warn(sentence: string): void;
  /** The command is there. */
  started(): void;
  /** Whether the kernel killed something in the sandbox for want of memory; null: it does not tell. */
  ranOutOfMemory(sandbox: StartedWorkload): boolean | null;
};

const KILLED = 128 + constants.signals.SIGKILL;

/**
 * Makes a workload, runs the command in it, and removes the workload when the command has ended.
 * Resolves to the command's exit code, or 128 and the number of the signal that ended it, as a shell does.
 * Errors: those of the agent and of the launch; the workload is removed then too.
 */
export async function runWorkload(options: WorkloadOptions, effects: RunEffects): Promise<number> {
  const { name, namespace, serviceAccount, labels, nativeTunnel, published = [], weight = null, annotations = {} } = options;
  const more = {
    ...(published.length === 0 ? {} : { published }),
    ...(weight === null ? {} : { weight }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
  let early: NodeJS.Signals | null = null;
  let forward = (signal: NodeJS.Signals): void => {
    early ??= signal;
  };
  const forget = effects.onSignal((signal) => forward(signal));
  try {
    const sandbox = await effects.agent.start({ name, namespace, serviceAccount, labels, nativeTunnel, ...more });
    try {
      if (early !== null) return exitCodeOf(null, early);
      const running = effects.launch(sandbox, options.command);
      running.ready?.then(effects.started).catch(toLastResort);
      forward = (signal) => void running.kill(signal);
      const code = await endingOf(running);
      if (code === KILLED) effects.warn(`weft: ${describeKill(effects.ranOutOfMemory(sandbox))}\n`);
      return code;
    } finally {
      await remove(options, effects);
    }
  } finally {
    forget();
  }
}

/** Who killed it is known to the kernel alone; that it was for memory, it counts. */
function describeKill(outOfMemory: boolean | null): string {
  if (outOfMemory === true) return 'the command was killed: it ran out of memory';
  const who = 'by itself, by somebody else, or because its time to end was over';
  return `the command was killed (SIGKILL) ${who}${outOfMemory === null ? '; or it ran out of memory' : ''}`;
}

/** The exit code of a process: its own, or 128 and the number of the signal that ended it. Errors: WEFT_LAUNCH. */
export function endingOf(running: Pick<Running, 'once'>): Promise<number> {
  return new Promise((resolve, reject) => {
    running.once('exit', (code, signal) => resolve(exitCodeOf(code, signal)));
    running.once('error', (cause) => {
      reject(
        new WeftError('WEFT_LAUNCH', 'the command cannot be started', {
          cause,
          remedy: 'see that /bin/sh and nsenter are installed',
        }),
      );
    });
  });
}

function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}

/** The command's own ending counts, so a workload that stays behind is told and no more. */
async function remove({ namespace, name }: WorkloadOptions, { agent, warn }: RunEffects): Promise<void> {
  try {
    await agent.stop(namespace, name);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    warn(`weft: the workload ${namespace}/${name} could not be removed: ${why}\n`);
  }
}
