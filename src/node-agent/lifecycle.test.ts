import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT } from '#model/settings/agents.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type AgentMachinery, runAgent } from './lifecycle.ts';
import { settle } from './memory-sockets.testing.ts';

/** Machinery that notes what is done with it. */
function setUp(change: Partial<AgentMachinery> = {}, busy = false) {
  const done: string[] = [];
  const clock = new SteppedClock();
  const note = (what: string) => (): void => void done.push(what);
  let asked: Parameters<AgentMachinery['serve']>[0] | null = null;
  const carried = Promise.withResolvers<void>();
  if (!busy) carried.resolve();
  const next = { serves: false };
  const machinery: AgentMachinery = {
    resume: async () => false,
    restore: async () => void done.push('restore'),
    local: {
      watch: () => {
        done.push('watch');
        return note('unwatch');
      },
      stopAll: async () => void done.push('stop all'),
      leaveNode: async () => void done.push('leave the node'),
    },
    takeOver: async () => void done.push('take over'),
    discovery: { start: note('discovery starts'), stop: note('discovery stops') },
    drainEvents: note('events'),
    serve: async (actions) => {
      asked = actions;
      done.push('API opens');
      return async () => void done.push('API closes');
    },
    handOver: () => {
      done.push('hand over');
      return { pid: 7, sockets: [] };
    },
    isServed: () => next.serves,
    isAnswered: async () => next.serves,
    drain: null,
    carriedToTheEnd: (deadlineMs) => {
      done.push(`carry for ${deadlineMs}`);
      return carried.promise;
    },
    closers: [note('agent'), note('certificates'), note('kernel')],
    cleanNode: async () => void done.push('node cleaned'),
    clock,
    ...change,
  };
  const actions = () => asked ?? assert.fail('the API was never opened');
  return {
    machinery,
    done,
    clock,
    carried,
    next,
    cleanup: () => actions().cleanup(),
    isLeaving: () => actions().isLeaving(),
    handOver: (onlyLeaving = false) => actions().handOver(onlyLeaving),
  };
}

test('workloads are restored before discovery starts, and the API opens last', async () => {
  const { machinery, done } = setUp();
  await runAgent(machinery);
  assert.deepEqual(done, ['restore', 'take over', 'discovery starts', 'watch', 'API opens']);
});

test('F8: what another agent has just served is served before anything is seen to that takes long', async () => {
  const resume = async (): Promise<boolean> => true;
  const { machinery, done } = setUp({ resume });
  await runAgent(machinery);
  assert.deepEqual(done, ['take over', 'discovery starts', 'restore', 'watch', 'API opens']);
});

test('what the kernel reports is read again and again, until the agent stops', async () => {
  const { machinery, done, clock } = setUp();
  const { stop } = await runAgent(machinery);
  clock.advance(100);
  const read = done.filter((what) => what === 'events').length;
  assert.equal(read >= 2, true);
  await stop();
  clock.advance(1_000);
  assert.equal(done.filter((what) => what === 'events').length, read);
});

test('it stops in order: no change, no request, then users before what they use', async () => {
  const { machinery, done } = setUp();
  const { stop } = await runAgent(machinery);
  done.length = 0;
  await stop();
  assert.deepEqual(done, [
    `carry for ${AGENT.leaveMs}`,
    'unwatch',
    'discovery stops',
    'API closes',
    'agent',
    'certificates',
    'kernel',
  ]);
});

test('a stop leaves workloads and kernel to the next agent', async () => {
  const { machinery, done, clock } = setUp();
  const { stop } = await runAgent(machinery);
  await stop();
  clock.advance(60_000);
  await settle();
  assert.deepEqual(
    done.filter((what) => what === 'stop all' || what === 'node cleaned'),
    [],
  );
});

test('a cleanup ends the workloads, is answered, and only then closes its socket and removes the node', async () => {
  const { machinery, done, clock, cleanup } = setUp();
  const { cleaned } = await runAgent(machinery);
  await cleanup();
  assert.deepEqual([done.at(-1), done.includes('API closes')], ['stop all', false]);
  clock.advance(1_000);
  await cleaned;
  assert.deepEqual(done.slice(-2), ['kernel', 'node cleaned']);
});

test('a node that cannot be cleaned is told, not swallowed', async () => {
  const { machinery, clock, cleanup } = setUp({ cleanNode: () => Promise.reject(new Error('a bridge is left')) });
  const { cleaned } = await runAgent(machinery);
  await cleanup();
  clock.advance(1_000);
  await assert.rejects(cleaned, /a bridge is left/);
});

test('an agent that hands over goes on hearing of policy, gives up its API after the answer, and ends with what it carries', async () => {
  const { machinery, done, clock, carried, handOver } = setUp({}, true);
  const { replaced } = await runAgent(machinery);
  done.length = 0;
  assert.deepEqual(await handOver(), { pid: 7, sockets: [] });
  assert.deepEqual(done, ['leave the node', 'unwatch', 'hand over']);
  clock.advance(1_000);
  await settle();
  assert.deepEqual(done.slice(3), ['API closes'], 'F8: what it accepted last is carried, though it carries nothing yet');
  clock.advance(AGENT.handOverMs);
  await settle();
  assert.deepEqual(done.slice(4), [`carry for ${AGENT.handedOverMs}`]);
  carried.resolve();
  await replaced;
  assert.deepEqual(done.slice(5), ['discovery stops', 'API closes', 'agent', 'certificates', 'kernel']);
});

test('F8: the sockets of an agent that has handed over go as soon as the next one serves, whatever it carries', async () => {
  let isTaken = false;
  const { machinery, clock, next, handOver } = setUp({}, true);
  const { handOver: leave } = machinery;
  await runAgent({
    ...machinery,
    handOver: (taken) => {
      void taken.then(() => {
        isTaken = true;
      });
      return leave(taken);
    },
  });
  await handOver();
  clock.advance(AGENT.lastAnswerMs + AGENT.handOverLookMs);
  await settle();
  assert.equal(isTaken, false);
  next.serves = true;
  clock.advance(2 * AGENT.handOverLookMs);
  await settle();
  assert.equal(isTaken, true);
});

test('a stop ends an agent that has handed over at once, and only once', async () => {
  const { machinery, done, clock, carried, handOver } = setUp({}, true);
  const { stop, replaced } = await runAgent(machinery);
  await handOver();
  clock.advance(1_000);
  await stop();
  carried.resolve();
  await settle();
  clock.advance(2 * AGENT.handOverMs);
  await replaced;
  assert.equal(done.filter((what) => what === 'kernel').length, 1);
});

test('F8: an agent that is told to stop serves until nothing is carried, and gives the node to another that starts meanwhile', async () => {
  const { machinery, done, clock, carried, handOver } = setUp({}, true);
  const { stop } = await runAgent(machinery);
  await assert.rejects(handOver(true), { code: 'WEFT_ALREADY_RUNNING' });
  done.length = 0;
  const stopping = stop();
  clock.advance(1_000);
  await settle();
  assert.deepEqual(new Set(done), new Set([`carry for ${AGENT.leaveMs}`, 'events']));
  await handOver(true);
  await assert.rejects(handOver(false), { code: 'WEFT_ALREADY_RUNNING' }, 'there is one next agent');
  carried.resolve();
  await settle();
  assert.equal(done.includes('kernel'), false, 'its sockets are there to be taken');
  clock.advance(AGENT.lastAnswerMs);
  await settle();
  clock.advance(2 * AGENT.handOverMs);
  await stopping;
  assert.deepEqual(done.slice(-3), ['agent', 'certificates', 'kernel']);
});

/** A rig of an agent that is replaced by one beside it; it carries something. */
function besides(change: Partial<AgentMachinery> = {}) {
  return setUp({ drain: { carryMs: 3_600_000 }, ...change }, true);
}

test('K144: one whose successor stands beside it stays until it is told to end, and then to the end of what it carries', async () => {
  const { machinery, done, clock, carried, handOver, next } = besides();
  const { stop, replaced } = await runAgent(machinery);
  let isOver = false;
  replaced.then(() => {
    isOver = true;
  }, assert.fail);
  await handOver();
  next.serves = true;
  for (const afterMs of [AGENT.lastAnswerMs, AGENT.handOverMs]) {
    clock.advance(afterMs);
    await settle();
  }
  assert.ok(done.includes('carry for 3600000'));
  let hasStopped = false;
  const stopping = stop().then(() => {
    hasStopped = true;
  });
  await settle();
  assert.deepEqual([hasStopped, done.includes('kernel')], [false, false]);
  carried.resolve();
  await stopping;
  assert.equal(done.at(-1), 'kernel');
  clock.advance(2 * AGENT.successorMs);
  await settle();
  assert.equal(isOver, false, 'by itself it does not end while another serves');
});

test('K147: one that is told to end first serves on until the next has the node, and ends without one after a while', async () => {
  const first = besides();
  const { stop } = await runAgent(first.machinery);
  const stopping = stop();
  await settle();
  await first.handOver();
  first.carried.resolve();
  for (const afterMs of [AGENT.lastAnswerMs, AGENT.handOverMs]) {
    first.clock.advance(afterMs);
    await settle();
  }
  await stopping;
  assert.equal(first.done.at(-1), 'kernel');
  const alone = besides();
  const { stop: stopAlone } = await runAgent(alone.machinery);
  const stopped = stopAlone();
  await settle();
  assert.equal(alone.done.includes('kernel'), false);
  alone.clock.advance(AGENT.successorMs);
  await stopped;
});

test('one that stays is over when nobody has served the node for a while: whoever is started then is to take it', async () => {
  const { machinery, clock, carried, handOver, next } = besides();
  const { replaced } = await runAgent(machinery);
  await handOver();
  carried.resolve();
  next.serves = true;
  for (const afterMs of [AGENT.lastAnswerMs, AGENT.handOverMs]) {
    clock.advance(afterMs);
    await settle();
  }
  next.serves = false;
  for (let waitedMs = 0; waitedMs <= AGENT.successorMs; waitedMs += AGENT.successorLookMs) {
    clock.advance(AGENT.successorLookMs);
    await settle();
  }
  await replaced;
});

test('K46: one that is told to end because the mesh is taken away does not wait for another', async () => {
  const gone = Promise.withResolvers<void>();
  const { machinery, done } = besides();
  const { stop } = await runAgent({ ...machinery, local: { ...machinery.local, uninstalled: gone.promise } });
  const stopping = stop();
  await settle();
  gone.resolve();
  await stopping;
  assert.equal(done.at(-1), 'node cleaned');
});

test('an API that cannot be opened fails the start', async () => {
  const { machinery } = setUp({ serve: () => Promise.reject(new Error('EADDRINUSE')) });
  await assert.rejects(runAgent(machinery), /EADDRINUSE/);
});

test('K46: where the mesh is taken away the node is cleaned, and the agent waits to be told to end', async () => {
  const uninstalled = Promise.withResolvers<void>();
  const rig = setUp();
  const { done } = rig;
  const running = await runAgent({ ...rig.machinery, local: { ...rig.machinery.local, uninstalled: uninstalled.promise } });
  done.length = 0;
  let isOver = false;
  running.cleaned.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  uninstalled.resolve();
  const stopped = running.stop(); // as the cluster asks at the same time
  await stopped;
  await settle();
  assert.deepEqual(
    [done.filter((one) => !/^carry/.test(one)), isOver],
    [['stop all', 'unwatch', 'discovery stops', 'API closes', 'agent', 'certificates', 'kernel', 'node cleaned'], false],
  );
});

test('an agent that was told to stop says so, until it has handed over', async () => {
  const { machinery, isLeaving, handOver } = setUp({}, true);
  const { stop } = await runAgent(machinery);
  assert.equal(isLeaving(), false);
  void stop();
  assert.equal(isLeaving(), true);
  await handOver(true);
  assert.equal(isLeaving(), false);
});
