import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { HOOK, REASON } from '#model/path/kernel-flags.ts';
import * as abi from './abi.ts';
import { btfSection, enumeratorsOf, structsOf } from './btf.ts';
import type { Layout } from './layout.ts';

const objectsDir = new URL('../../../build/bpf/', import.meta.url);
const objects = readdirSync(objectsDir).filter((name) => name.endsWith('.o'));
const layouts = Object.values(abi).filter(
  (value) => typeof value === 'object' && 'fields' in value && value.fields.size > 0,
) as Layout<unknown>[];

function compiledStructs(): Map<string, { size: number; members: { name: string; offset: number; size: number }[] }> {
  const all = new Map();
  for (const object of objects) {
    for (const [name, layout] of structsOf(btfSection(readFileSync(new URL(object, objectsDir))))) {
      const known = all.get(name);
      if (known !== undefined) assert.deepEqual(layout, known, `${name} differs between objects`);
      all.set(name, layout);
    }
  }
  return all;
}

test('E30: every mirrored struct has the layout the compiler chose', () => {
  const compiled = compiledStructs();
  for (const layout of layouts) {
    const members = [...layout.fields].map(([name, [offset, size]]) => ({ name, offset, size }));
    assert.deepEqual({ size: layout.size, members }, compiled.get(layout.name), layout.name);
  }
});

test('E30: no struct has implicit padding', () => {
  for (const [name, { size, members }] of compiledStructs()) {
    if (!name.startsWith('weft_')) continue;
    let end = 0;
    for (const member of members) {
      assert.equal(member.offset, end, `${name}.${member.name}`);
      end += member.size;
    }
    assert.equal(end, size, name);
  }
});

test('reasons, hooks and counters have the numbers of the C enums', () => {
  const compiled = new Map<string, number>();
  for (const object of objects)
    for (const [name, value] of enumeratorsOf(btfSection(readFileSync(new URL(object, objectsDir))))) compiled.set(name, value);
  const upper = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  for (const [name, value] of Object.entries(REASON)) assert.equal(compiled.get(`WEFT_REASON_${upper(name)}`), value, name);
  for (const [name, value] of Object.entries(HOOK)) assert.equal(compiled.get(`WEFT_HOOK_${upper(name)}`), value, name);
  for (const [index, name] of abi.COUNTERS.entries()) assert.equal(compiled.get(`WEFT_COUNT_${name.toUpperCase()}`), index, name);
  assert.equal(compiled.get('WEFT_COUNTERS'), abi.COUNTERS.length);
});

test('a struct survives encoding and decoding, padding stays zero', () => {
  const flow = { netnsCookie: 7n, source: null, destination: null, sourcePort: 1, destinationPort: 65535 };
  const bytes = abi.FLOW.encode(flow);
  assert.equal(bytes.length, 48);
  assert.equal(bytes.readUInt32LE(44), 0);
  assert.deepEqual(abi.FLOW.decode(bytes), flow);
});
