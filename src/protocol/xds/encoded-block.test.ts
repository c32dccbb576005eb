import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { CONTROL } from '#model/settings/control-planes.ts';
import { EncodedBlocks } from './encoded-block.ts';
import { type EncodedResource, encodeWorkload } from './encoded-resource.ts';
import { sampleWorkload } from './sample-mesh.testing.ts';

const SAMPLE = encodeWorkload(sampleWorkload());

function resource(name: string, bytes: number): EncodedResource {
  return { ...SAMPLE, name, wire: new Uint8Array(bytes) };
}

function everything(blocks: EncodedBlocks): EncodedResource[] {
  return Array.from({ length: blocks.count }, (_, index) => blocks.block(index).resources).flat();
}

test('blocks hold each resource once, in its last form, whatever came, grew and went', () => {
  const step = fc.record({ name: fc.nat(60), bytes: fc.nat(CONTROL.responseBytesMax), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const blocks = new EncodedBlocks();
      const want = new Map<string, number>();
      for (const { name, bytes, gone } of steps) {
        if (gone) assert.equal(blocks.delete(`n${name}`), want.delete(`n${name}`));
        else blocks.set(`n${name}`, resource(`n${name}`, bytes));
        if (!gone) want.set(`n${name}`, bytes);
        for (let index = 0; index < blocks.count; index++) {
          const sum = blocks.block(index).resources.reduce((total, { wire }) => total + wire.length, 0);
          assert.ok(sum <= CONTROL.responseBytesMax);
        }
      }
      assert.deepEqual(new Map(everything(blocks).map(({ name, wire }) => [name, wire.length])), new Map(want));
      assert.equal(blocks.size, want.size);
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

test('room that became free is used again: a mesh that changes for ever has no more blocks than it needs', () => {
  const blocks = new EncodedBlocks();
  for (let round = 0; round < 200; round++) {
    for (let index = 0; index < 10; index++) blocks.set(`r${round}-${index}`, resource(`r${round}-${index}`, 50_000));
    for (let index = 0; index < 10; index++) blocks.delete(`r${round}-${index}`);
  }
  assert.ok(blocks.count < 12, String(blocks.count));
});
