import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { Registration, RegistrationOutcome } from '#model/mesh/registration.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { EnrollingAgent } from './local-effects.ts';
import { LocalWorkloads } from './local-workloads.ts';

const SANDBOX = {
  cgroupPath: '/c',
  addresses: ['10.0.0.1'],
  resolvConfPath: '/r',
  link: { device: 'wf0', mac: '02:00:00:00:00:01' },
};
const WANTED = { name: 'cart', namespace: 'shop', serviceAccount: 'cart', labels: { app: 'cart' }, nativeTunnel: false };

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp({ registerFails = 0, enrollFails = false } = {}) {
  /** What the control plane does not take. */
  const answer = { refused: [] as RegistrationOutcome['refused'] };
  const clock = new SteppedClock();
  const seen = {
    enrolled: [] as string[],
    left: [] as string[],
    registered: [] as string[][],
    tries: 0,
    removed: [] as string[],
    saved: [] as EnrollmentRequest[],
    strays: [] as { namespace: string; name: string }[],
    /** What was done to sandboxes and enrolments, in order. */
    steps: [] as string[],
  };
  const fails = { enroll: enrollFails, saves: 0 };
  const [undying, populated, dyingSlowly] = [new Set<string>(), new Set<string>(), new Map<string, Promise<void>>()];
  const agent = {
    enroll: async ({ uid }: EnrollmentRequest) => {
      if (fails.enroll) throw new Error('EADDRINUSE');
      seen.enrolled.push(uid);
      seen.steps.push('enroll');
    },
    lastBytes: async () => void seen.steps.push('last bytes'),
    leave: (uid: string) => {
      seen.left.push(uid);
      seen.steps.push('leave');
    },
    known: async () => true,
    registered: () => {},
  };
  const local = new LocalWorkloads(agent as unknown as EnrollingAgent, {
    sandboxes: {
      create: async ({ name }) => ({ ...SANDBOX, netnsPath: `/n/${name}` }),
      list: async () => seen.strays,
      hold: async ({ name }) => void seen.steps.push(`hold ${name}`),
      release: async ({ name }) => void seen.steps.push(`release ${name}`),
      end: async ({ name }) => {
        seen.steps.push(`end ${name}`);
        await dyingSlowly.get(name);
        if (undying.has(name)) throw new Error('WEFT_SANDBOX_BUSY');
        populated.delete(name);
      },
      remove: async ({ name }) => {
        seen.steps.push(`remove ${name}`);
        seen.removed.push(name);
      },
      isEmpty: ({ name }) => !populated.has(name),
    },
    register: async (workloads: Registration[]) => {
      seen.tries++;
      if (registerFails-- > 0) throw new Error('away');
      seen.registered.push(workloads.map(({ name }) => name));
      const uids = workloads.map(({ namespace, name }) => `k/${namespace}/${name}`);
      return { uids, refused: answer.refused.filter(({ uid }) => uids.includes(uid)) };
    },
    expectedUid: ({ namespace, name }) => `k/${namespace}/${name}`,
    store: {
      load: async () => seen.saved,
      save: async (all) => {
        if (fails.saves-- > 0) throw new Error('no space left');
        seen.saved = all;
      },
    },
    clock,
    random: UNSPREAD,
    log: SILENT_LOG,
  });
  return { local, seen, populated, undying, dyingSlowly, fails, clock, settle, answer };
}

test('a started workload is enrolled, saved and registered', async () => {
  const { local, seen, settle } = setUp();
  const started = await local.start(WANTED);
  await settle();
  assert.deepEqual([started.uid, seen.enrolled, seen.registered.at(-1)], ['k/shop/cart', ['k/shop/cart'], ['cart']]);
  assert.equal(seen.saved[0]?.netnsPath, '/n/cart');
});

test('a name that runs already is refused, one whose process ended is taken over', async () => {
  const { local, populated } = setUp();
  await local.start(WANTED);
  populated.add('cart');
  await assert.rejects(local.start(WANTED), { code: 'WEFT_WORKLOAD_EXISTS' });
  populated.clear();
  await local.start(WANTED);
});

test('a name that is no DNS label is refused before anything is made', async () => {
  const { local, seen } = setUp();
  await assert.rejects(local.start({ ...WANTED, name: '../etc' }), { code: 'WEFT_WORKLOAD_NAME' });
  assert.deepEqual(seen.enrolled, []);
});

test('an enrollment that fails leaves no sandbox', async () => {
  const { local, seen } = setUp({ enrollFails: true });
  await assert.rejects(local.start(WANTED), /EADDRINUSE/);
  assert.deepEqual(seen.removed, ['cart']);
});

test('F10: registrations that fail are tried again by one loop, later and later, however many asked for them', async () => {
  const { local, seen, clock, settle } = setUp({ registerFails: 1_000 });
  await local.start(WANTED);
  for (let reconnects = 0; reconnects < 20; reconnects++) {
    local.refreshRegistration();
    await settle();
  }
  const tries = async (ms: number): Promise<number> => {
    const before = seen.tries;
    clock.advance(ms);
    await settle();
    return seen.tries - before;
  };
  assert.ok(seen.tries <= 22, `${seen.tries} attempts: one for each that asked`);
  const waits: number[] = [];
  for (let ms = 0; waits.length < 3 && ms < 200_000; ms += 500) if ((await tries(500)) > 0) waits.push(ms);
  const [first = 0, second = 0, third = 0] = waits;
  assert.deepEqual([second - first, third - second], [15_000, 15_000], 'by then the wait has reached its cap');
  local.close();
  assert.equal(await tries(100_000), 0);
});

test('F10: who asks while an attempt is under way has part in the next one, and none is begun for each', async () => {
  const { local, seen, settle } = setUp();
  await local.start(WANTED);
  await settle();
  const before = seen.tries;
  for (let asked = 0; asked < 50; asked++) local.refreshRegistration();
  for (let turns = 0; turns < 60; turns++) await settle();
  assert.ok(seen.tries - before <= 2, `${seen.tries - before} attempts`);
});

test('registration is tried again until the control plane takes it', async () => {
  const { local, seen, clock, settle } = setUp({ registerFails: 1 });
  await local.start(WANTED);
  await settle();
  assert.deepEqual(seen.registered, []);
  clock.advance(1_000);
  await settle();
  assert.deepEqual(seen.registered, [['cart']]);
});

test('a workload whose processes are gone is removed, one that has not started yet is not', async () => {
  const { local, seen, populated, clock, settle } = setUp();
  local.watch();
  await local.start(WANTED);
  const reap = async (): Promise<void> => {
    clock.advance(2_000);
    await settle();
    await settle();
  };
  await reap();
  assert.deepEqual(seen.left, [], 'it may still be starting');
  populated.add('cart');
  await reap();
  populated.clear();
  await reap();
  assert.deepEqual(seen.left, ['k/shop/cart']);
  await local.start(WANTED);
  clock.advance(31_000);
  await settle();
  await settle();
  assert.equal(seen.left.length, 2, 'one that never started ends after its grace');
});

test('a restarted agent enrolls what its predecessor served', async () => {
  const first = setUp();
  await first.local.start(WANTED);
  const second = setUp();
  second.seen.saved = first.seen.saved;
  await second.local.restore();
  assert.deepEqual(second.seen.enrolled, ['k/shop/cart']);
});

test('nothing of a workload runs before it is enrolled, and it leaves the mesh when it is dead, not before', async () => {
  const { local, seen } = setUp();
  await local.start(WANTED);
  assert.deepEqual(seen.steps.splice(0), ['hold cart', 'enroll', 'release cart']);
  await local.stop(WANTED);
  assert.deepEqual(seen.steps, ['end cart', 'last bytes', 'leave', 'remove cart']);
});

test('a name that is started again begins anew: what was of the ended one is gone first', async () => {
  const { local, seen } = setUp();
  await local.start(WANTED);
  seen.steps.length = 0;
  await local.start(WANTED);
  assert.deepEqual(seen.steps, ['end cart', 'last bytes', 'leave', 'remove cart', 'hold cart', 'enroll', 'release cart']);
});

test('what does not die stays enrolled and on disk, is told, and is tried again when it is dead', async () => {
  const { local, seen, undying, populated, clock, settle } = setUp();
  local.watch();
  await local.start(WANTED);
  populated.add('cart');
  undying.add('cart');
  await assert.rejects(local.stop(WANTED), /BUSY/);
  await assert.rejects(local.stopAll(), /BUSY/);
  assert.deepEqual([seen.left, seen.removed, seen.saved.length], [[], [], 1]);
  await assert.rejects(local.start(WANTED), { code: 'WEFT_WORKLOAD_EXISTS' });
  clock.advance(2_000);
  await settle();
  undying.clear();
  populated.clear();
  clock.advance(2_000);
  await settle();
  await settle();
  assert.deepEqual([seen.left, seen.removed, seen.saved], [['k/shop/cart'], ['cart'], []]);
});

test('H4: what ends on a full disk is removed all the same, and written down once that made room', async () => {
  const { local, seen, fails } = setUp();
  await local.start(WANTED);
  fails.saves = 1;
  await local.stop(WANTED);
  assert.deepEqual([seen.left, seen.removed, seen.saved], [['k/shop/cart'], ['cart'], []]);
  await local.start({ ...WANTED, name: 'web' });
  fails.saves = 2;
  await assert.rejects(local.stop({ ...WANTED, name: 'web' }), /no space left/);
  assert.deepEqual([seen.removed, seen.saved.length], [['cart', 'web'], 1]);
});

test('F8: an end that is still under way when another agent has the node changes nothing; that one is asked again', async () => {
  const { local, seen, dyingSlowly, clock } = setUp();
  await local.start(WANTED);
  const dead = Promise.withResolvers<void>();
  dyingSlowly.set('cart', dead.promise);
  const stopping = local.stop(WANTED, 0);
  const left = local.leaveNode();
  clock.advance(AGENT.leaveNodeMs);
  await left;
  dead.resolve();
  await assert.rejects(stopping, { code: 'WEFT_AGENT_LEAVING' });
  await assert.rejects(local.start({ ...WANTED, name: 'web' }), { code: 'WEFT_AGENT_LEAVING' });
  assert.deepEqual([seen.left, seen.removed, seen.saved.length], [[], [], 1]);
});

test('when all are ended, one that does not die keeps no other alive, and nothing starts any more', async () => {
  const { local, seen, undying } = setUp();
  await local.start(WANTED);
  await local.start({ ...WANTED, name: 'web' });
  undying.add('cart');
  await assert.rejects(local.stopAll(), /BUSY/);
  assert.deepEqual(seen.removed, ['web']);
  undying.clear();
  await local.stopAll();
  await assert.rejects(local.start(WANTED), { code: 'WEFT_WORKLOAD_LEFT' });
});

test('F11: an enrolment that failed is tried again, later and later, and shown until it holds', async () => {
  const { local, seen, fails, clock, settle } = setUp({ enrollFails: true });
  seen.saved = [{ ...WANTED, uid: 'k/shop/cart', addresses: ['10.0.0.1'], netnsPath: '/n/cart', link: null }];
  await local.restore();
  const shown = (): string[] => local.outside().map(({ request, problem }) => `${request.name}: ${problem}`);
  assert.deepEqual(shown(), ['cart: it is stopped, as it cannot be enrolled: EADDRINUSE']);
  for (const waitMs of [500, 1_000, 2_000]) {
    seen.steps.length = 0;
    clock.advance(waitMs - 1);
    await settle();
    assert.deepEqual(seen.steps, [], `not before ${waitMs} ms`);
    clock.advance(1);
    await settle();
    assert.deepEqual(seen.steps, ['hold cart']);
  }
  fails.enroll = false;
  clock.advance(4_000);
  await settle();
  assert.deepEqual([shown(), seen.steps.at(-1)], [[], 'release cart']);
  seen.steps.length = 0;
  clock.advance(100_000);
  await settle();
  assert.deepEqual(seen.steps, []);
});

test('a workload that cannot be enrolled again is held, and released when it can', async () => {
  const { local, seen, fails, clock, settle } = setUp({ enrollFails: true });
  seen.saved = [{ ...WANTED, uid: 'k/shop/cart', addresses: ['10.0.0.1'], netnsPath: '/n/cart', link: null }];
  await local.restore();
  assert.deepEqual(seen.steps.splice(0), ['hold cart']);
  local.watch();
  fails.enroll = false;
  clock.advance(2_000);
  await settle();
  await settle();
  assert.deepEqual(seen.steps, ['enroll', 'release cart']);
});

test('a sandbox whose workload nobody knows is ended when the agent starts', async () => {
  const { local, seen } = setUp();
  seen.strays = [{ namespace: 'shop', name: 'lost' }];
  await local.restore();
  assert.deepEqual(seen.steps, ['end lost', 'remove lost']);
});

const REFUSED = { uid: 'k/shop/cart', message: 'the token of this node is not for identity shop/cart', remedy: 'make another' };

test('a workload that the control plane refuses does not start, is told why, and leaves nothing', async () => {
  const { local, seen, answer } = setUp();
  answer.refused = [REFUSED];
  await assert.rejects(local.start(WANTED), {
    code: 'WEFT_WORKLOAD_REFUSED',
    message: /not for identity shop\/cart/,
    remedy: 'make another',
  });
  assert.deepEqual([seen.left, seen.removed], [['k/shop/cart'], ['cart']]);
});

test('one that is refused later is shown, and registered again and again', async () => {
  const { local, seen, clock, settle, answer } = setUp();
  await local.start(WANTED);
  answer.refused = [REFUSED];
  local.refreshRegistration();
  await settle();
  assert.deepEqual([...local.refusals()], [['k/shop/cart', REFUSED.message]]);
  answer.refused = [];
  const before = seen.registered.length;
  clock.advance(5_000);
  await settle();
  assert.deepEqual([seen.registered.length, local.refusals().size], [before + 1, 0]);
});
