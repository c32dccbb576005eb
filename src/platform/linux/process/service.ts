import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';

/** A part of the mesh that runs until it is told to stop. */
export type Service = {
  /** Stops it in order; resolves when everything it held is given back. */
  stop(): Promise<void>;
  /** Settles when it has ended by itself: cleaned up on request, or, as an error, broken. Absent: it never does. */
  ended?: Promise<void>;
};

/**
 * Runs a service until SIGINT, SIGTERM or SIGHUP, or until it ends by itself; resolves to the exit code.
 * A second signal, or a stop that takes longer than 20 s, ends the process at once.
 * Errors: those of the start, WEFT_STOP when stopping failed.
 */
export async function serve(start: () => Promise<Service>): Promise<number> {
  const over = new AbortController();
  try {
    const asked = nextSignal(over.signal);
    const service = await start();
    const ended = service.ended?.then(() => true) ?? new Promise<never>(() => {});
    if (await Promise.race([asked.then(() => false), ended])) return 0;
    nextSignal(over.signal)
      .then(() => process.exit(1))
      .catch(toLastResort);
    await stopInTime(service);
    return 0;
  } finally {
    over.abort();
  }
}

async function stopInTime(service: Service): Promise<void> {
  const late = setTimeout(() => process.exit(1), COMMAND.serviceStopMs);
  try {
    await service.stop();
  } catch (cause) {
    throw new WeftError('WEFT_STOP', 'stopping did not go to its end', {
      cause,
      remedy: 'run weft uninstall to remove what is left',
    });
  } finally {
    clearTimeout(late);
  }
}

/** A terminal that closes sends SIGHUP: whoever is started in one must not be cut off by it. */
const STOPPING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Resolves with the next signal that asks to stop; until then, or until `cancel` is aborted, none of them ends the process.
 * After an abort it stays unsettled.
 */
export function nextSignal(cancel?: AbortSignal): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const forget = (): void => {
      for (const name of STOPPING) process.off(name, hear);
    };
    const hear = (signal: NodeJS.Signals): void => {
      forget();
      resolve(signal);
    };
    for (const name of STOPPING) process.on(name, hear);
    cancel?.addEventListener('abort', forget, { once: true });
  });
}
