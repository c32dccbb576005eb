import type { Clock } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { NodeWorkloads } from '#node-agent/enrollment/node-workloads.ts';
import type { Handover } from '#protocol/api/agent.ts';

/** An agent that is serving. */
export type RunningAgent = {
  /** Stops serving; what the kernel carries goes on, and a new agent takes over. */
  stop(): Promise<void>;
  /**
   * Resolves when the agent was told over its local API to clean up and has done so; rejects when something could not be
   * removed, so that the process ends with the reason instead of staying half alive.
   */
  cleaned: Promise<void>;
  /** Resolves when another agent has gone on with the node and what was carried here has ended. */
  replaced: Promise<void>;
};

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
  const { local, discovery, clock } = machinery;
  await takeTheNode(machinery);
  const stopTimers = [local.watch(), clock.every(AGENT.eventsPeriodMs, () => machinery.drainEvents())];
  const { promise: cleaned, resolve, reject } = Promise.withResolvers<void>();
  cleaned.catch(() => {}); // whoever waits for it hears of a failure; nobody has to wait
  const replacing = Promise.withResolvers<void>();
  replacing.promise.catch(() => {}); // the same
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
  let removing: Promise<void> | null = null;
  let left = Promise.resolve(); // with this process ends what it accepted last, so it stays until the next one accepts everything
  const stop = async (): Promise<void> => {
    // It serves as ever, so that nothing is refused until there is another agent; that one takes the rest of the time off its hands.
    if (phase === 'serving' && removing === null) {
      phase = 'leaving';
      await machinery.carriedToTheEnd(AGENT.leaveMs);
      await left;
    }
    await endOnce();
    await removing?.catch(() => {}); // told to whoever waits for `cleaned`
  };
  const handOver = async (onlyLeaving: boolean): Promise<Handover> => {
    if (phase === 'handed over' || (onlyLeaving && phase === 'serving')) throw alreadyRuns();
    phase = 'handed over';
    const { promise: taken, resolve: take } = Promise.withResolvers<void>();
    const { promise: isOver, resolve: over } = Promise.withResolvers<void>();
    left = isOver;
    await local.leaveNode(); // two agents that change one workload would undo each other's work
    for (const stopTimer of stopTimers.splice(0)) stopTimer();
    const handover = machinery.handOver(taken);
    // Discovery goes on: policy ends also what is carried to its end. The answer has to leave before its socket closes.
    const leave = async (): Promise<void> => {
      await closeApi();
      // Listening sockets no longer than needed: who comes after the next one, should that die now, is to find the ports free.
      const stopLooking = clock.every(AGENT.handOverLookMs, () => void (machinery.isServed() && take()));
      clock.after(AGENT.handOverMs, over);
      await isOver;
      stopLooking();
      take();
      await machinery.carriedToTheEnd(AGENT.handedOverMs);
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
  const remove = (): Promise<void> => local.stopAll().then(endOnce).then(machinery.cleanNode);
  const isLeaving = (): boolean => phase === 'leaving';
  const closeApi = await machinery.serve({ cleanup, isLeaving, handOver });
  // It then waits to be told to end: an agent that ended by itself would be started anew, and come back.
  local.uninstalled?.then(() => (removing = remove())).catch(reject);
  return { stop, cleaned, replaced: replacing.promise };
}

/** What another agent has just served goes on before anything is seen to that takes long. */
async function takeTheNode({ resume, restore, takeOver, discovery }: AgentMachinery): Promise<void> {
  const resumed = await resume();
  if (!resumed) await restore();
  await takeOver();
  discovery.start();
  if (resumed) await restore();
}

function alreadyRuns(): WeftError {
  return new WeftError('WEFT_ALREADY_RUNNING', 'the node has an agent that runs', {
    remedy: 'stop it first, or start this one with --replace',
  });
}
