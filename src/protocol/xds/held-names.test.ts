import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeldNames } from './held-names.ts';

/** Names and versions, and what is told of them. */
class Held {
  readonly versions = new Map<string, string>();
  readonly names = new HeldNames((name) => this.versions.get(name) ?? '');

  set(name: string, version: string | null): void {
    if (version === null) this.names.drop(name);
    else this.names.hold(name);
    if (version === null) this.versions.delete(name);
    else this.versions.set(name, version);
  }
}

const step = fc.record({
  name: fc.nat(80).map((at) => `n${at}`),
  version: fc.constantFrom('1', '2', null),
  /** What else is done before it: some of the digests are made, or all are asked for. */
  before: fc.constantFrom('nothing', 'some', 'all'),
});

test('C53: digests are those of what is held, whatever came and went, and when they were asked for', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const held = new Held();
      const refreshing = held.names.refreshing();
      for (const { name, version, before } of steps) {
        if (before === 'some') refreshing.next();
        if (before === 'all') held.names.differing(held.names.digests());
        held.set(name, version);
      }
      const anew = new Held();
      for (const [name, version] of held.versions) anew.set(name, version);
      refreshing.next();
      assert.deepEqual(Buffer.from(held.names.digests()), Buffer.from(anew.names.digests()));
      assert.deepEqual(held.names.differing(anew.names.digests())?.buckets.size ?? 0, 0);
    }),
  );
});

test('C53: where two differ is found wherever the digests lie in memory, and only there', () => {
  const [ours, theirs] = [new Held(), new Held()];
  for (let at = 0; at < 500; at++) for (const held of [ours, theirs]) held.set(`n${at}`, '1');
  ours.names.differing(theirs.names.digests());
  theirs.set('n7', '2');
  for (const offset of [0, 1]) {
    const digests = Buffer.concat([Buffer.alloc(offset), theirs.names.digests()]).subarray(offset);
    const buckets = ours.names.differing(digests) ?? assert.fail('they are digests');
    assert.equal(buckets.buckets.size, 1);
    assert.ok([...ours.names.namesIn(buckets)].includes('n7'));
  }
});
