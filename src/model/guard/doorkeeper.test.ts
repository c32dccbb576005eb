import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { DoorCause } from '#model/telemetry/close-cause.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { partOf } from './door.ts';
import { Doorkeeper, type DoorLimits } from './doorkeeper.ts';

const LIMITS: DoorLimits = {
  waitingMax: 10,
  strangersMax: 8,
  perStrangerMax: 4,
  deadlineMs: 10_000,
  pressedDeadlineMs: 1_000,
  pace: { burst: 100, perSecond: 10, failureCost: 5, sourcesMax: 50 },
};

/** A door whose connections are names; what happened to them is in `closed`. */
function door(changes: Partial<DoorLimits> = {}) {
  const clock = new SteppedClock();
  const closed: string[] = [];
  const counted: DoorCause[] = [];
  const keeper = new Doorkeeper({
    limits: { ...LIMITS, ...changes },
    clock,
    isKnown: (ip) => ip.startsWith('10.'),
    onClosed: (cause) => counted.push(cause),
  });
  let number = 0;
  const enter = (ip: string) => {
    const name = `${ip}#${++number}`;
    return keeper.enter(parseIp(ip), (cause) => closed.push(`${name} ${cause}`));
  };
  return { clock, keeper, closed, counted, enter, names: () => closed.map((line) => line.split(' ')[0]) };
}

test('one host that opens more than its share loses its own oldest, nobody else', () => {
  const { enter, closed, keeper } = door();
  enter('192.0.2.1');
  for (let at = 0; at < 6; at++) enter('198.51.100.1');
  assert.deepEqual(closed, ['198.51.100.1#2 evicted', '198.51.100.1#3 evicted']);
  assert.equal(keeper.waiting, 5);
});

test('when strangers fill their places, the oldest of the one with most makes room', () => {
  const { enter, closed } = door();
  for (const ip of ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5', '192.0.2.6'])
    enter(ip);
  assert.deepEqual(closed, []);
  enter('192.0.2.9');
  assert.deepEqual(closed, ['192.0.2.2#2 evicted']);
});

test('strangers never take the places of the known, and the known take those of strangers', () => {
  const { enter, names, keeper } = door();
  for (const ip of ['10.0.0.1', '10.0.0.2']) enter(ip);
  for (let host = 1; host <= 20; host++) enter(`192.0.2.${host}`);
  assert.equal(
    names().some((name) => name?.startsWith('10.')),
    false,
  );
  for (let host = 3; host <= 5; host++) enter(`10.0.0.${host}`);
  assert.equal(
    names().some((name) => name?.startsWith('10.')),
    false,
  );
  assert.equal(keeper.waiting, 10);
  // Five of ten are known now: from here on they make room for each other, the one with most first.
  for (let more = 0; more < 3; more++) enter('10.0.0.1');
  assert.deepEqual(
    names().filter((name) => name?.startsWith('10.')),
    ['10.0.0.1#1', '10.0.0.1#26', '10.0.0.1#27'],
  );
});

test('hundreds of known hosts that all flood cannot keep a quiet one out', () => {
  const { enter, names } = door({ waitingMax: 100 });
  for (let round = 0; round < 20; round++) for (let host = 1; host <= 50; host++) enter(`10.1.0.${host}`);
  const quiet = enter('10.2.0.1');
  for (let host = 1; host <= 50; host++) enter(`10.1.0.${host}`);
  assert.equal(
    names().some((name) => name?.startsWith('10.2.')),
    false,
  );
  quiet?.proved();
});

test('an IPv6 host is its /64, whatever address of it it uses', () => {
  const { enter, closed } = door();
  for (let at = 1; at <= 6; at++) enter(`2001:db8::${at}`);
  enter('2001:db8:0:1::1');
  assert.deepEqual(closed, ['2001:db8::1#1 evicted', '2001:db8::2#2 evicted']);
});

test('whoever proved himself once is known from then on', () => {
  const { enter, keeper, names } = door();
  enter('192.0.2.77')?.proved();
  assert.equal(keeper.waiting, 0);
  enter('192.0.2.77');
  for (let host = 1; host <= 30; host++) enter(`192.0.2.${host}`);
  assert.equal(names().includes('192.0.2.77#2'), false);
});

test('a connection has its time, however many bytes it sends, and strangers have less when many wait', () => {
  const alone = door();
  alone.enter('192.0.2.1');
  alone.clock.advance(9_999);
  assert.deepEqual(alone.closed, []);
  alone.clock.advance(1);
  assert.deepEqual(alone.closed, ['192.0.2.1#1 late']);

  const pressed = door();
  pressed.enter('10.0.0.1');
  for (let host = 1; host <= 8; host++) pressed.enter(`192.0.2.${host}`);
  pressed.clock.advance(1_000);
  assert.deepEqual(pressed.closed, ['192.0.2.1#2 late']); // and with seven left there is more time for those
  pressed.clock.advance(9_000);
  assert.equal(pressed.closed.at(-1), '10.0.0.1#1 late');
  assert.equal(pressed.keeper.waiting, 0);
});

test('strangers that begin too fast are not let in, those that fail sooner, and time brings it back', () => {
  const { enter, clock, counted } = door({ pace: { ...LIMITS.pace, burst: 12 } });
  for (let at = 0; at < 2; at++) enter('192.0.2.1')?.ended();
  assert.equal(enter('192.0.2.1'), null);
  assert.notEqual(enter('192.0.2.2'), null);
  assert.deepEqual(counted, ['too-fast']);
  clock.advance(100);
  assert.notEqual(enter('192.0.2.1'), null);
  assert.equal(enter('192.0.2.1'), null);
});

test('known sources are not measured: a node that restarts opens all of its tunnels at once', () => {
  const { enter, counted } = door({ pace: { ...LIMITS.pace, burst: 1 } });
  for (let at = 0; at < 20; at++) enter('10.0.0.1')?.ended();
  assert.deepEqual(counted, []);
});

test('what is over is over: later words about it change nothing', () => {
  const { enter, keeper, closed, clock } = door();
  const waiting = enter('192.0.2.1');
  waiting?.ended();
  waiting?.proved();
  waiting?.ended();
  enter('192.0.2.2');
  clock.advance(10_000);
  assert.deepEqual(closed, ['192.0.2.2#2 late']);
  assert.equal(keeper.waiting, 0);
});

test('what is remembered of sources is bounded', () => {
  const { enter, clock } = door({ pace: { ...LIMITS.pace, burst: 1, sourcesMax: 3 } });
  for (let host = 1; host <= 4; host++) enter(`192.0.2.${host}`);
  assert.notEqual(enter('192.0.2.1'), null, 'forgotten, since it was quiet longest');
  assert.equal(enter('192.0.2.4'), null);
  clock.advance(1);
});

test('several who keep one door let in together no more than one would, and each lets somebody in', () => {
  const whole = { waitingMax: 10, strangersMax: 8, perStrangerMax: 4, burst: 100, perSecond: 10 };
  for (const keepers of [1, 2, 3, 8]) {
    const part = partOf(LIMITS, keepers);
    const amounts = { ...part, ...part.pace };
    for (const [name, amount] of Object.entries(whole)) {
      const each = amounts[name as keyof typeof whole];
      assert.ok(each > 0 && (each === 1 || each * keepers <= amount), `${name}: ${each} for each of ${keepers}`);
    }
    assert.deepEqual([part.deadlineMs, part.pace.failureCost], [LIMITS.deadlineMs, LIMITS.pace.failureCost]);
  }
});
