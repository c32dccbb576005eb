import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ChangeLog, type LogCursor } from './change-log.ts';

function read(log: ChangeLog, cursor: LogCursor): { removed: string[]; updated: string[] } {
  const removed: string[] = [];
  for (let name = log.nextRemoved(cursor); name !== null; name = log.nextRemoved(cursor)) removed.push(name);
  const updated: string[] = [];
  for (let name = log.nextUpdated(cursor); name !== null; name = log.nextUpdated(cursor)) updated.push(name);
  return { removed, updated };
}

test('a follower reads what changed after it began, each name once, in the lane of its last change', () => {
  const log = new ChangeLog();
  log.updated('before');
  const cursor = log.follow();
  log.updated('a');
  log.removed('b');
  log.updated('c');
  log.removed('c');
  log.removed('d');
  log.updated('d');
  log.updated('a');
  assert.deepEqual(read(log, cursor), { removed: ['b', 'c'], updated: ['d', 'a'] });
  assert.deepEqual([log.pending(cursor), read(log, cursor)], [0, { removed: [], updated: [] }]);
});

test('what every follower has read is forgotten, and what one has not is kept', () => {
  const log = new ChangeLog();
  const [quick, stopped] = [log.follow(), log.follow()];
  for (let index = 0; index < 5_000; index++) log.updated(`n${index}`);
  read(log, quick);
  log.trim();
  assert.equal(log.pending(stopped), 5_000);
  assert.equal(read(log, stopped).updated.length, 5_000);
  log.trim();
  log.updated('n1');
  log.unfollow(stopped);
  for (let index = 0; index < 3_000; index++) log.removed(`m${index}`);
  assert.deepEqual([read(log, quick).updated, read(log, quick).removed], [['n1'], []]);
});

test('a follower that reads at any time knows in the end what is there', () => {
  const step = fc.record({ name: fc.nat(20), gone: fc.boolean(), reads: fc.boolean(), trims: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const log = new ChangeLog();
      const cursor = log.follow();
      const there = new Set<string>();
      const known = new Set<string>();
      const readNow = () => {
        const { removed, updated } = read(log, cursor);
        for (const name of removed) known.delete(name);
        for (const name of updated) known.add(name);
      };
      for (const { name, gone, reads, trims } of steps) {
        if (gone) there.delete(String(name));
        else there.add(String(name));
        if (gone) log.removed(String(name));
        else log.updated(String(name));
        if (reads) readNow();
        if (trims) log.trim();
      }
      readNow();
      assert.deepEqual([...known].sort(), [...there].sort());
    }),
  );
});
