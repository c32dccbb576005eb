import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { FloodGuard, TUNNEL_FLOODS } from './flood-guard.ts';
import { Keepalive } from './keepalive.ts';

function started(): { clock: SteppedClock; keepalive: Keepalive; events: string[] } {
  const clock = new SteppedClock();
  const events: string[] = [];
  const keepalive = new Keepalive({ clock, sendPing: () => void events.push('ping'), lost: () => void events.push('lost') });
  return { clock, keepalive, events };
}

test('B21: PING after 10 s, and 10 s after each answer', () => {
  const { clock, keepalive, events } = started();
  clock.advance(9_999);
  assert.deepEqual(events, []);
  clock.advance(1);
  assert.deepEqual(events, ['ping']);
  clock.advance(5_000);
  keepalive.answered();
  clock.advance(9_999);
  assert.deepEqual(events, ['ping']);
  clock.advance(1);
  assert.deepEqual(events, ['ping', 'ping']);
});

test('B21: a peer that is silent for 20 s after a PING is lost', () => {
  const { clock, events } = started();
  clock.advance(29_999);
  assert.deepEqual(events, ['ping']);
  clock.advance(1);
  assert.deepEqual(events, ['ping', 'lost']);
});

test('a peer that may be gone is asked at once, and once', () => {
  const { clock, keepalive, events } = started();
  clock.advance(1_000);
  keepalive.ask();
  keepalive.ask();
  assert.deepEqual(events, ['ping']);
  clock.advance(19_999);
  assert.deepEqual(events, ['ping']);
  clock.advance(1);
  assert.deepEqual(events, ['ping', 'lost']);
});

test('answers nobody asked for change nothing, and stopping stops', () => {
  const { clock, keepalive, events } = started();
  clock.advance(9_000);
  keepalive.answered();
  clock.advance(1_000);
  assert.deepEqual(events, ['ping']);
  keepalive.stop();
  clock.advance(60_000);
  assert.deepEqual(events, ['ping']);
});

test('a flood guard allows a burst and then a rate', () => {
  let nowMs = 0;
  const guard = new FloodGuard(() => nowMs, TUNNEL_FLOODS);
  for (let at = 0; at < 500; at++) guard.count('control');
  assert.throws(() => guard.count('control'), /too many control frames/);
  nowMs = 1_000;
  for (let at = 0; at < 50; at++) guard.count('control');
  assert.throws(() => guard.count('control'));
  guard.count('reset');
});

test('a peer is asked only while it matters, at its own pace', () => {
  const clock = new SteppedClock();
  const events: string[] = [];
  let wanted = false;
  const keepalive = new Keepalive({
    clock,
    intervalMs: 1_000,
    timeoutMs: 100,
    isWanted: () => wanted,
    sendPing: () => void events.push('ping'),
    lost: () => void events.push('lost'),
  });
  clock.advance(5_000);
  assert.deepEqual(events, []);
  wanted = true;
  clock.advance(1_000);
  keepalive.answered();
  clock.advance(1_100);
  assert.deepEqual(events, ['ping', 'ping', 'lost']);
});
