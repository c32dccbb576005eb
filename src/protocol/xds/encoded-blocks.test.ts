import assert from 'node:assert/strict';
import test from 'node:test';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { CONTROL } from '#model/settings/control-planes.ts';
import { EncodedBlocks } from './encoded-blocks.ts';
import { type EncodedResource, encodeWorkload } from './encoded-resource.ts';
import { sampleWorkload } from './sample-mesh.testing.ts';
import { StoredResource } from './stored-resource.ts';

/** One of some more than `bytes` bytes. */
function resource(name: string, bytes: number): EncodedResource {
  return encodeWorkload(sampleWorkload({ uid: name, hostname: 'h'.repeat(bytes) }));
}

function everything(blocks: EncodedBlocks): EncodedResource[] {
  return Array.from({ length: blocks.count }, (_, index) => blocks.block(index).resources).flat();
}

function wiresOf(resources: Iterable<EncodedResource>): Map<string, Buffer> {
  return new Map([...resources].map(({ name, wire }) => [name, Buffer.from(wire)]));
}

/** What a client makes of the bytes of all blocks. */
function framedIn(blocks: EncodedBlocks): Map<string, Buffer> {
  const all = Array.from({ length: blocks.count }, (_, index) => {
    const reader = new BinaryReader(blocks.block(index).framed ?? assert.fail('not made ready'));
    const found: EncodedResource[] = [];
    while (reader.pos < reader.len) {
      assert.deepEqual(reader.tag(), [2, WireType.LengthDelimited]);
      found.push(new StoredResource(reader.bytes()));
    }
    return found;
  });
  return wiresOf(all.flat());
}

/** The same after a restart. */
function restored(blocks: EncodedBlocks): EncodedBlocks {
  const again = new EncodedBlocks();
  for (const { kept } of blocks.groups()) for (const block of kept()) again.restore(block);
  return again;
}

test('blocks that were kept are as they were, and count their changes from the beginning', () => {
  const blocks = new EncodedBlocks();
  for (let index = 0; index < 3; index++) blocks.set(`r${index}`, resource(`r${index}`, 10));
  blocks.delete('r1');
  const again = restored(blocks);
  const [kept] = again.groups();
  assert.equal(kept?.revision, 0);
  again.set('r2', resource('r2', 500));
  assert.equal(again.groups()[0]?.revision, 1);
  assert.deepEqual(
    framedIn(again),
    wiresOf([resource('r0', 10), resource('r2', 500)].map((one, at) => ({ ...one, name: `r${2 * at}` }))),
  );
});

test('blocks hold each resource once, in its last form, whatever came, grew and went', () => {
  const step = fc.record({ name: fc.nat(60), bytes: fc.nat(CONTROL.responseBytesMax - 1_024), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const blocks = new EncodedBlocks();
      const want = new Map<string, EncodedResource>();
      for (const { name, bytes, gone } of steps) {
        const next = resource(`n${name}`, bytes);
        if (gone) assert.equal(blocks.delete(next.name), want.delete(next.name));
        else blocks.set(next.name, next);
        if (!gone) want.set(next.name, next);
        for (let index = 0; index < blocks.count; index++) {
          const sum = blocks.block(index).resources.reduce((total, { wire }) => total + wire.length, 0);
          assert.ok(sum <= CONTROL.responseBytesMax);
        }
      }
      assert.deepEqual(new Map(everything(blocks).map(({ name, wire }) => [name, Buffer.from(wire)])), wiresOf(want.values()));
      assert.deepEqual(framedIn(blocks), wiresOf(want.values()));
      for (const { name, wire } of want.values()) assert.deepEqual(Buffer.from(blocks.get(name)?.wire ?? []), Buffer.from(wire));
      assert.equal(blocks.size, want.size);
      const again = restored(blocks);
      assert.deepEqual(framedIn(again), wiresOf(want.values()));
      for (const { name, wire } of want.values()) assert.deepEqual(Buffer.from(again.get(name)?.wire ?? []), Buffer.from(wire));
    }),
  );
});

test('a resource larger than a response has a block to itself', () => {
  const blocks = new EncodedBlocks();
  blocks.set('small', resource('small', 10));
  blocks.set('large', resource('large', 2 * CONTROL.responseBytesMax));
  blocks.set('other', resource('other', 10));
  assert.deepEqual([blocks.count, blocks.block(1).resources.map(({ name }) => name)], [3, ['large']]);
});

test('what was read of a block stays as it was when the block changes', () => {
  const blocks = new EncodedBlocks();
  for (let index = 0; index < 400; index++) blocks.set(`r${index}`, resource(`r${index}`, 10));
  const before = blocks.block(0);
  const copies = before.resources.map(({ wire }) => Buffer.from(wire));
  const framed = Buffer.from(before.framed ?? assert.fail('not made ready'));
  for (let index = 0; index < 400; index++) blocks.set(`r${index}`, resource(`r${index}`, 20));
  blocks.block(0);
  assert.deepEqual(
    before.resources.map(({ wire }) => Buffer.from(wire)),
    copies,
  );
  assert.deepEqual(before.framed, framed);
});

test('room that became free is used again: a mesh that changes for ever has no more blocks than it needs', () => {
  const blocks = new EncodedBlocks();
  for (let round = 0; round < 200; round++) {
    for (let index = 0; index < 10; index++) blocks.set(`r${round}-${index}`, resource(`r${round}-${index}`, 50_000));
    for (let index = 0; index < 10; index++) blocks.delete(`r${round}-${index}`);
  }
  assert.ok(blocks.count < 12, String(blocks.count));
});
