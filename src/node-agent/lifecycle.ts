import type { Clock } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { within } from '#model/effects/within.ts';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { COMMAND } from '#model/settings/host.ts';
import type { NodeWorkloads } from '#node-agent/enrollment/node-workloads.ts';
import type { Handover } from '#protocol/api/agent.ts';

/** An agent that is serving. */
export type RunningAgent = {
  /** Stops serving; what the kernel carries goes on, and a new agent takes over. */
  stop(): Promise<void>;
  /** How long that may take. */
  stopMs: number;
  /**
   * Resolves when the agent was told over its local API to clean up and has done so; rejects when something could not be
   * removed, so that the process ends with the reason instead of staying half alive.
   */
  cleaned: Promise<void>;
  /**
   * Resolves when another agent has gone on with the node and what was carried here has ended; where that one was started beside this one,
   * only when nobody serves the node any more.
   */
  replaced: Promise<void>;
};

/**
 * How an agent ends where the next one is started beside it, and it is told to end only then, as pods of a DaemonSet are: it stays until it
 * is told, and what it carries goes on for `carryMs`. Ended by itself it would be started anew, and take the node back.
 */
export type Drain = { carryMs: number };

/** What others may ask of the agent's whole. `onlyLeaving`: nothing of one that was not told to stop. */
export type ServedActions = {
  cleanup(): Promise<void>;
  /** Whether it was told to stop, and has its node still. */
  isLeaving(): boolean;
  handOver(onlyLeaving: boolean): Promise<Handover>;
};

/** What an agent consists of, as far as its start and its end are concerned. */
export type AgentMachinery = {
  local: Pick<NodeWorkloads, 'watch' | 'stopAll' | 'leaveNode' | 'uninstalled'>;
  /** Enrolls at once what another agent served until a moment ago; false: there was none, or `restore` has to do it. */
  resume(): Promise<boolean>;
  /** Enrolls what a former agent of the node served, and sees to it that it is as it should be. */
  restore(): Promise<void>;
  /** Puts the data path of this agent in force; what held the node until then gives way. Errors: those of the kernel. */
  takeOver(): Promise<void>;
  discovery: { start(): void; stop(): void };
  /** Reads what the kernel has reported since the last time. */
  drainEvents(): void;
  /** Opens the local API, which asks for these. The result closes it. */
  serve(asked: ServedActions): Promise<() => Promise<void>>;
  /** Leaves the node to another agent; what is carried goes on. `taken`: that one has the listening sockets. */
  handOver(taken: Promise<void>): Handover;
  /** Whether an agent serves the local API: after this one has closed it, another. */
  isServed(): boolean;
  /** Whether one answers there. */
  isAnswered(): Promise<boolean>;
  /** Null: as on a host, where a signal is the end. */
  drain: Drain | null;
  /** Resolves when nothing is carried any more, or after so long. */
  carriedToTheEnd(deadlineMs: number): Promise<void>;
  /** What is closed after the last request, in this order: users before what they use. */
  closers: readonly (() => void)[];
  /** Removes every trace of this node from kernel and disk; the agent has stopped by then. */
  cleanNode(): Promise<void>;
  clock: Clock;
};

/**
 * Starts an agent whose parts are made, and says in which order it ends. Errors: those of the local API's socket.
 *
 * Workloads of a former agent are enrolled before discovery starts: the first sync purges what belongs to nobody, and
 * must already find them; and programs of a former agent's maps hold the node until the new maps know them. What takes long of that
 * waits until they are served again. The local API opens last, so whoever gets an answer talks to an agent that can serve it.
 */
export async function runAgent(machinery: AgentMachinery): Promise<RunningAgent> {
  const { local, discovery, clock, drain } = machinery;
  await takeTheNode(machinery);
  const stopTimers = [local.watch(), clock.every(AGENT.eventsPeriodMs, () => machinery.drainEvents())];
  const { promise: cleaned, resolve, reject } = Promise.withResolvers<void>();
  cleaned.catch(() => {}); // whoever waits for it hears of a failure; nobody has to wait
  const replacing = Promise.withResolvers<void>();
  let ended: Promise<void> | null = null; // a stop may come while a replaced agent comes to its end
  const end = async (): Promise<void> => {
    for (const stopTimer of stopTimers) stopTimer();
    discovery.stop(); // first: no change may arrive at an agent that is half closed
    await closeApi();
    for (const close of machinery.closers) close();
  };
  const endOnce = (): Promise<void> => {
    ended ??= end();
    return ended;
  };
  let phase: 'serving' | 'leaving' | 'handed over' = 'serving';
  const hasHandedOver = (): boolean => phase === 'handed over';
  const succeeded = Promise.withResolvers<void>();
  let removing: Promise<void> | null = null;
  let left = Promise.resolve(); // with this process ends what it accepted last, so it stays until the next one accepts everything
  const stop = async (): Promise<void> => {
    // It serves as ever, so that nothing is refused until there is another agent; that one takes the rest of the time off its hands.
    if (phase === 'serving' && removing === null) {
      phase = 'leaving';
      await servedOn(machinery, succeeded.promise);
      await left;
    }
    if (drain !== null && hasHandedOver()) await replacing.promise;
    if (removing === null) await endOnce(); // or what is being removed would be closed under whoever removes it
    await removing?.catch(() => {}); // told to whoever waits for `cleaned`
  };
  const handOver = async (onlyLeaving: boolean): Promise<Handover> => {
    if (phase === 'handed over' || (onlyLeaving && phase === 'serving')) throw alreadyRuns();
    phase = 'handed over';
    succeeded.resolve();
    const { promise: taken, resolve: take } = Promise.withResolvers<void>();
    const { promise: isOver, resolve: over } = Promise.withResolvers<void>();
    left = isOver;
    await local.leaveNode(); // two agents that change one workload would undo each other's work
    for (const stopTimer of stopTimers.splice(0)) stopTimer();
    const handover = machinery.handOver(taken);
    // Discovery goes on: policy ends also what is carried to its end. The answer has to leave before its socket closes.
    const leave = async (): Promise<void> => {
      await closeApi();
      await heldForNext(machinery, take);
      over();
      await machinery.carriedToTheEnd(drain?.carryMs ?? AGENT.handedOverMs);
      await endOnce();
    };
    clock.after(AGENT.lastAnswerMs, () => void leave().then(replacing.resolve, replacing.reject));
    return handover;
  };
  const cleanup = async (): Promise<void> => {
    await local.stopAll();
    // The request that asked for this is answered over the socket that `stop` closes.
    clock.after(AGENT.lastAnswerMs, () => void endOnce().then(machinery.cleanNode).then(resolve, reject));
  };
  const isLeaving = (): boolean => phase === 'leaving';
  const closeApi = await machinery.serve({ cleanup, isLeaving, handOver });
  // It then waits to be told to end: an agent that ended by itself would be started anew, and come back.
  local.uninstalled?.then(() => (removing = local.stopAll().then(endOnce).then(machinery.cleanNode))).catch(reject);
  const replaced = replacing.promise.then(() => (drain === null ? undefined : unserved(machinery)));
  replaced.catch(() => {}); // as of `cleaned`
  return { stop, stopMs: COMMAND.serviceStopMs + (drain === null ? 0 : AGENT.successorMs + drain.carryMs), cleaned, replaced };
}

/** What another agent has just served goes on before anything is seen to that takes long. */
async function takeTheNode({ resume, restore, takeOver, discovery }: AgentMachinery): Promise<void> {
  const resumed = await resume();
  if (!resumed) await restore();
  await takeOver();
  discovery.start();
  if (resumed) await restore();
}

/** Listening sockets no longer than needed: who comes after the next one, should that die now, is to find the ports free. */
async function heldForNext({ clock, isServed }: AgentMachinery, take: () => void): Promise<void> {
  const stopLooking = clock.every(AGENT.handOverLookMs, () => void (isServed() && take()));
  await new Promise<void>((resolve) => clock.after(AGENT.handOverMs, resolve));
  stopLooking();
  take();
}

/** An agent that is told to end serves as ever until nothing is carried, or the next one has the node: then this resolves, or after a while. */
async function servedOn({ drain, clock, local, carriedToTheEnd }: AgentMachinery, succeeded: Promise<void>): Promise<void> {
  if (drain === null) return carriedToTheEnd(AGENT.leaveMs);
  await within(clock, AGENT.successorMs, Promise.race([succeeded, local.uninstalled ?? NEVER]));
}

/** Resolves when nobody has answered for so long that who took the node over is gone: whoever is started next is to take it. */
function unserved({ clock, isAnswered }: AgentMachinery): Promise<void> {
  let answeredMs = clock.monotonicMs();
  return new Promise((resolve) => {
    const stop = clock.every(AGENT.successorLookMs, () => {
      const look = async (): Promise<void> => {
        if (await isAnswered()) answeredMs = clock.monotonicMs();
        if (clock.monotonicMs() - answeredMs < AGENT.successorMs) return;
        stop();
        resolve();
      };
      look().catch(toLastResort);
    });
  });
}

const NEVER = new Promise<never>(() => {});

function alreadyRuns(): WeftError {
  return new WeftError('WEFT_ALREADY_RUNNING', 'the node has an agent that runs', {
    remedy: 'stop it first, or start this one with --replace',
  });
}
