import { spawn } from 'node:child_process';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import { systemClock } from '#platform/clock.ts';
import { releaseProgramPages } from './program-pages.ts';
import { type ServiceManager, serviceManager } from './service-manager.ts';

/** A part of the mesh that runs until it is told to stop. */
export type Service = {
  /** Stops it in order; resolves when everything it held is given back. */
  stop(): Promise<void>;
  /** How long that may take; absent: 20 s. */
  stopMs?: number;
  /** Settles when it has ended by itself: cleaned up on request, or, as an error, broken. Absent: it never does. */
  ended?: Promise<void>;
  /** Takes on now what it was configured with, and tells by itself what is wrong with that. Absent: it does so without being asked. */
  reload?(): Promise<void>;
  /**
   * In the place of a reload another process of this program is started, with these arguments more: it asks this one to hand over
   * what it has, which then ends by itself.
   */
  successorArguments?: readonly string[];
};

/**
 * Runs a service until SIGINT or SIGTERM, or until it ends by itself; resolves to the exit code. SIGHUP is the end of a terminal, and
 * ends it too; where a service manager started it there is none, and SIGHUP makes it reload.
 * A second signal, or a stop that takes too long, ends the process at once.
 * Errors: those of the start, WEFT_STOP when stopping failed.
 */
export async function serve(start: () => Promise<Service>, manager = serviceManager()): Promise<number> {
  const over = new AbortController();
  const stopping = manager === null ? STOPPING : STOPPING.filter((name) => name !== 'SIGHUP');
  const reloads = manager === null ? null : listenForReloads(manager);
  let stopWatchdog = (): void => {};
  const alive = setInterval(() => {}, COMMAND.programPagesMs); // who has given everything away and waits for a signal is not at its end
  let [started, lookAgain] = [(): void => {}, (): void => {}];
  try {
    const asked = nextSignal(over.signal, stopping);
    const service = await start();
    manager?.ready();
    reloads?.serveWith(service);
    started = systemClock.after(COMMAND.startedMs, releaseProgramPages);
    lookAgain = systemClock.every(COMMAND.programPagesMs, releaseProgramPages);
    stopWatchdog = sayAlive(manager);
    const ended = service.ended?.then(() => true) ?? new Promise<never>(() => {});
    if (await Promise.race([asked.then(() => false), ended])) return 0;
    manager?.stopping();
    nextSignal(over.signal, stopping)
      .then(() => process.exit(1))
      .catch(toLastResort);
    await stopInTime(service);
    return 0;
  } finally {
    clearInterval(alive);
    started();
    lookAgain();
    stopWatchdog();
    reloads?.close();
    over.abort();
  }
}

/** Fixed by sd_watchdog_enabled(3), which asks for half the time; a third leaves room for a busy machine. */
const WATCHDOG_SHARE = 3;

/** Tells a manager that counts, from now on, that this process is alive; returns how to end that. */
export function sayAlive(manager: ServiceManager | null): () => void {
  if (manager === null || manager.watchdogMs === null) return () => {};
  return systemClock.every(manager.watchdogMs / WATCHDOG_SHARE, () => manager.alive());
}

/** Hears SIGHUP from now on, so that one during the start ends nothing. */
function listenForReloads(manager: ServiceManager): { serveWith(service: Service): void; close(): void } {
  let reload = async (): Promise<void> => {};
  let succeeding: Promise<void> | null = null;
  const reloaded = async (): Promise<void> => {
    manager.reloading();
    try {
      await reload();
    } finally {
      manager.ready();
    }
  };
  const hear = (): void => {
    reloaded().catch(toLastResort);
  };
  process.on('SIGHUP', hear);
  return {
    serveWith: (service) => {
      const more = service.successorArguments;
      reload = async () => {
        if (more === undefined) return service.reload?.();
        // One at a time. Where all goes well this never settles: the other one says that it is ready, and this one is asked to end.
        succeeding ??= startSuccessor(more, manager.successor).finally(() => {
          succeeding = null;
        });
        return succeeding;
      };
    },
    close: () => void process.off('SIGHUP', hear),
  };
}

/**
 * Starts this program again as it was started, with arguments `more` unless it has them, and with `env` beside the environment: a process
 * that is to go on where this one is. It outlives this one. Settles only when it has ended: error WEFT_SUCCESSOR.
 */
function startSuccessor(more: readonly string[], env: NodeJS.ProcessEnv): Promise<never> {
  const options = process.execArgv.filter((argument) => argument !== '--');
  const own = process.argv.slice(1);
  const line = [...options, '--', ...own, ...more.filter((argument) => !own.includes(argument))];
  return new Promise((_, reject) => {
    const failed = (what: string, cause?: unknown): void =>
      reject(
        new WeftError('WEFT_SUCCESSOR', `the process that was to go on in the place of this one ${what}`, {
          cause,
          remedy: 'its log says why; this one serves on',
        }),
      );
    const child = spawn(process.execPath, line, { stdio: 'inherit', detached: true, env: { ...process.env, ...env } });
    child.once('error', (cause) => failed('cannot be started', cause));
    child.once('exit', (code, signal) => failed(`has ended (${signal ?? code})`));
    child.unref();
  });
}

async function stopInTime(service: Service): Promise<void> {
  const late = setTimeout(() => process.exit(1), service.stopMs ?? COMMAND.serviceStopMs);
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
export function nextSignal(cancel?: AbortSignal, signals = STOPPING): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const forget = (): void => {
      for (const name of signals) process.off(name, hear);
    };
    const hear = (signal: NodeJS.Signals): void => {
      forget();
      resolve(signal);
    };
    for (const name of signals) process.on(name, hear);
    cancel?.addEventListener('abort', forget, { once: true });
  });
}
