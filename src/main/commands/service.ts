import { WeftError } from '#model/error.ts';

/** A part of the mesh that runs until it is told to stop. */
export type Service = {
  /** Stops it in order; resolves when everything it held is given back. */
  stop(): Promise<void>;
  /** Settles when it has ended by itself: cleaned up on request, or, as an error, broken. Absent: it never does. */
  ended?: Promise<void>;
};

const STOP_WAIT_MS = 20_000;

/**
 * Runs a service until SIGINT or SIGTERM, or until it ends by itself; resolves to the exit code.
 * A second signal, or a stop that takes longer than 20 s, ends the process at once.
 * Errors: those of the start, WEFT_STOP when stopping failed.
 */
export async function serve(start: () => Promise<Service>): Promise<number> {
  const asked = nextSignal();
  const service = await start();
  const why = await Promise.race([
    asked.then(() => 'asked' as const),
    ...(service.ended ? [service.ended.then(() => 'ended' as const)] : []),
  ]);
  if (why === 'ended') return 0;
  void nextSignal().then(() => process.exit(1));
  const late = setTimeout(() => process.exit(1), STOP_WAIT_MS);
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
  return 0;
}

/** Resolves with the next signal that asks to stop; until then none of them ends the process. */
export function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const hear = (signal: NodeJS.Signals): void => {
      process.off('SIGINT', hear);
      process.off('SIGTERM', hear);
      resolve(signal);
    };
    process.on('SIGINT', hear);
    process.on('SIGTERM', hear);
  });
}
