import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PORT } from '#model/mesh/ports.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Succession, type SuccessionEffects } from './succession.ts';

type Legacy = Parameters<SuccessionEffects['offer']>[0];

/** A process whose sockets are numbers; `former`: those of the one before it. */
function aProcess(former: Readonly<Record<number, number>> = {}, announces = true) {
  const clock = new SteppedClock();
  const done: string[] = [];
  let legacy: Legacy | null = null;
  const succession = new Succession({
    clock,
    ask: async () => ({ take: (port) => former[port] ?? null, taken: () => void done.push('taken') }),
    offer: async (offered) => {
      legacy = offered;
    },
    bind: (port) => port,
    duplicate: (fd) => fd + 1,
    close: (fd) => void done.push(`close ${fd}`),
    announce: () => announces,
  });
  const heir = (): Legacy => legacy ?? assert.fail('nothing is offered');
  return { succession, clock, done, heir };
}

test('F3: what the former one listened on is taken, what it did not is bound, and then it is told', async () => {
  const { succession, done } = aProcess({ [PORT.hbone]: 4 });
  assert.deepEqual([await succession.sockets(), done], [{ peers: 4, local: PORT.waypoint }, ['taken']]);
});

test('F3: the next one is given copies; listening ends then, and the copies when they are taken', async () => {
  const { succession, done, heir } = aProcess();
  await succession.offer({ peers: 10, local: 20 }, () => void done.push('stop listening'));
  const waiting = succession.wait();
  assert.deepEqual(heir().give(), [
    { port: PORT.hbone, fd: 11 },
    { port: PORT.waypoint, fd: 21 },
  ]);
  await Promise.all([waiting, succession.followed]);
  assert.deepEqual(done, ['stop listening']);
  heir().taken();
  await succession.taken;
  assert.deepEqual(done.slice(1), ['close 11', 'close 21']);
});

test('F3: the next one is waited for so long, and not at all where none comes or nothing is offered', async () => {
  const { succession, clock } = aProcess();
  await succession.wait();
  await succession.offer({ peers: 10, local: 20 }, () => {});
  const waiting = succession.wait();
  clock.advance(WAYPOINT.followedMs);
  await waiting;
  const other = aProcess({}, false);
  await other.succession.offer({ peers: 10, local: 20 }, () => {});
  await other.succession.wait();
});
