import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { addDeltas } from '#model/telemetry/meter-deltas.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { WEFT_PROGRAM } from '#platform/program/installation.ts';
import { processLogLevel } from '#platform/telemetry/log.ts';
import { logShared } from '#platform/telemetry/log-turns.ts';
import { onDrill } from './drill.ts';
import type { FromThread, ThreadData } from './thread-messages.ts';

/** What the process has to do with a data thread of its own. */
export type ThreadOwner<ToControl, Counts> = {
  /** The process, in a line of its log: `agent`. */
  readonly process: string;
  /** What to do when the process has ended with its thread. */
  readonly remedy: string;
  /** Where it is counted what the thread counts. */
  readonly meters: Meters;
  readonly log: Log;
  readonly mishaps: Mishaps;
  /** One that waits for its part; without it another is started. */
  readonly spare?: SpareThread;
  receive(message: ToControl): void;
  counted(counts: Counts): void;
};

/** A data thread, from the side of its process. */
export type DataThread = {
  /** Hands it something; the bytes of what is not a plain object are copied. */
  post(message: unknown): void;
  /** From here on its end is meant; resolves with it. */
  ending(): Promise<void>;
};

/** A thread that has loaded its program, and waits to be told its part. */
export type SpareThread = { readonly worker: Worker };

/** Starts a thread ahead of its part; resolves when it waits for that. Errors: those of its program. */
export async function spareThread(kind: string): Promise<SpareThread> {
  const worker = newWorker({ kind });
  await once(worker, 'message');
  worker.unref();
  return { worker };
}

/** Starts a thread ahead of its part, which may be told to it at once. */
export function threadAhead(kind: string): SpareThread {
  const worker = newWorker({ kind });
  worker.unref();
  return { worker };
}

/** What each thread's log has of that of the process. */
export function sharedLog(): Pick<ThreadData, 'log' | 'logLevel'> {
  return { log: logShared(), logLevel: processLogLevel.memory };
}

/** Starts a data thread. One that ends without being told takes the process with it: nobody would carry its part. */
export function startThread<ToControl, Counts>(data: ThreadData, owner: ThreadOwner<ToControl, Counts>): DataThread {
  const { log, mishaps } = owner;
  const worker = workerFor(data, owner.spare);
  const ended = Promise.withResolvers<void>();
  let isMeant = false;
  worker.on('message', (said: FromThread<ToControl, Counts>) => heard(said, owner));
  worker.on('error', (error) => log.error({ err: error }, 'a data thread cannot go on'));
  worker.on('exit', (code) => {
    if (isMeant) return ended.resolve();
    const what = `a thread that carries connections has ended with exit code ${code}`;
    const error = new WeftError('WEFT_THREAD', what, { remedy: owner.remedy });
    log.error({ err: error }, `this ${owner.process} ends: nobody else carries the connections of that thread`);
    process.exit(1);
  });
  onDrill('end-data-thread', () => {
    worker.terminate().catch((error: unknown) => mishaps.report('process', error));
  });
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    ending: () => {
      isMeant = true;
      return ended.promise;
    },
  };
}

function heard<ToControl, Counts>(
  said: FromThread<ToControl, Counts>,
  { meters, mishaps, receive, counted }: ThreadOwner<ToControl, Counts>,
): void {
  switch (said.kind) {
    case 'waiting':
      break; // it was told its part before it could wait for it
    case 'seam':
      receive(said.message);
      break;
    case 'counted':
      addDeltas(meters, said.deltas);
      counted(said.counts);
      break;
    case 'mishap':
      mishaps.report(said.entry, said.error, JSON.parse(said.fields));
      break;
    default:
      said satisfies never;
  }
}

function workerFor(data: ThreadData, spare: SpareThread | undefined): Worker {
  spare?.worker.postMessage(data);
  return spare?.worker ?? newWorker(data);
}

function newWorker(workerData: Pick<ThreadData, 'kind'>): Worker {
  // Descriptors pass between threads, so none of them can tell what was opened here: Node.js would warn of each that comes from elsewhere.
  return new Worker(WEFT_PROGRAM, { workerData, argv: [], name: 'weft-data', trackUnmanagedFds: false });
}
