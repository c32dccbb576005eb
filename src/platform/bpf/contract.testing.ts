import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENUMS } from '#model/kernel/abi.ts';
import type { Layout } from '#model/kernel/layout.ts';
import { DATAGRAM_FLOW, EVENT, MAPS, type MapKind, nameInC } from '#model/kernel/maps.ts';
import { Btf, type BtfMapDefinition, type BtfStruct } from './btf.testing.ts';

/** All that user space and the programs must agree on, as the compiled objects have it. */
export type Contract = {
  enums: Map<string, Map<string, number>>;
  structs: Map<string, BtfStruct>;
  maps: Map<string, BtfMapDefinition>;
};

/** Numbers of map types. Source: enum bpf_map_type of the kernel. */
const MAP_TYPES: Readonly<Record<MapKind, number>> = {
  hash: 1,
  array: 2,
  percpu: 6,
  lru: 9,
  trie: 11,
  sockets: 18,
  storage: 24,
  ring: 27,
};

/** The contract of every object of a directory; they share their headers, so what two of them have must be the same. */
export function contractOf(directory: string): Contract {
  const contract: Contract = { enums: new Map(), structs: new Map(), maps: new Map() };
  for (const name of readdirSync(directory).filter((one) => one.endsWith('.o'))) {
    const btf = new Btf(readFileSync(join(directory, name)));
    merge(contract.enums, btf.enums(), name);
    merge(contract.structs, btf.structs(), name);
    merge(contract.maps, btf.maps(), name);
  }
  return {
    enums: oursOf(contract.enums),
    structs: oursOf(contract.structs),
    maps: new Map([...contract.maps].sort(byName)),
  };
}

function merge<T>(into: Map<string, T>, more: ReadonlyMap<string, T>, object: string): void {
  for (const [name, value] of more) {
    const known = into.get(name);
    if (known !== undefined && name.startsWith('weft_')) assert.deepEqual(value, known, `${name} differs in ${object}`);
    into.set(name, value);
  }
}

function oursOf<T>(all: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...all].filter(([name]) => name.startsWith('weft_')).sort(byName));
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** Where C and TypeScript differ, a line for each difference; empty: they agree. */
export function contractDifferences(compiled: Contract): string[] {
  return [...enumDifferences(compiled), ...structDifferences(compiled), ...mapDifferences(compiled)];
}

function enumDifferences({ enums }: Contract): string[] {
  const found: string[] = [];
  for (const name of new Set([...enums.keys(), ...Object.keys(ENUMS)])) {
    const inC = enums.get(name) ?? new Map<string, number>();
    const ours = new Map(Object.entries(ENUMS[name] ?? {}));
    for (const one of new Set([...inC.keys(), ...ours.keys()])) {
      const [here, there] = [ours.get(one), inC.get(one)];
      if (here !== there) found.push(`enum ${name}: ${one} is ${there ?? 'missing'} in C, ${here ?? 'missing'} in TypeScript`);
    }
  }
  return found;
}

/** Every struct that the maps and the ring hold; a bare number or address has no fields of its own. */
function mirroredStructs(): Map<string, Layout<unknown>> {
  const layouts = Object.values(MAPS).flatMap(({ key, value }) => [key, value] as Layout<unknown>[]);
  return new Map(
    [...layouts, EVENT as Layout<unknown>, DATAGRAM_FLOW as Layout<unknown>]
      .filter(({ fields }) => fields.size > 0)
      .map((one) => [one.name, one]),
  );
}

function structDifferences({ structs }: Contract): string[] {
  const mirrored = mirroredStructs();
  const found = [...structs.keys()]
    .filter((name) => name !== 'weft_ip' && !mirrored.has(name))
    .map((name) => `struct ${name} has no twin in src/model/kernel/maps.ts`);
  for (const [name, layout] of mirrored) {
    const compiled = structs.get(name);
    const places = (compiled?.members ?? []).map((one) => `${one.name} at ${one.offset}, ${one.size} bytes`);
    const ours = [...layout.fields].map(([field, [offset, size]]) => `${field} at ${offset}, ${size} bytes`);
    if (compiled?.size !== layout.size)
      found.push(`struct ${name} has ${compiled?.size ?? 'no'} bytes in C, ${layout.size} in TypeScript`);
    for (const place of places) if (!ours.includes(place)) found.push(`struct ${name}: only C has ${place}`);
    for (const place of ours) if (!places.includes(place)) found.push(`struct ${name}: only TypeScript has ${place}`);
  }
  return found;
}

function mapDifferences({ maps }: Contract): string[] {
  const ours = new Map<string, { kind: MapKind; entriesMax: number; key: number; value: number }>();
  for (const [name, { kind, entriesMax, key, value }] of Object.entries(MAPS))
    ours.set(nameInC(name), { kind, entriesMax, key: key.size, value: value.size });
  const found: string[] = [];
  for (const name of new Set([...maps.keys(), ...ours.keys()])) {
    const [here, there] = [ours.get(name), maps.get(name)];
    const shape = here && `type ${MAP_TYPES[here.kind]}, ${here.entriesMax} entries of ${here.key} + ${here.value} bytes`;
    const inC = there && `type ${there.type}, ${there.entriesMax} entries of ${there.key.size} + ${there.value.size} bytes`;
    if (shape !== inC) found.push(`map ${name} has ${inC ?? 'no definition'} in C, ${shape ?? 'no definition'} in TypeScript`);
  }
  return found;
}

/** The contract as text, a fact a line, in an order that does not depend on the compiler. */
export function contractText({ enums, structs, maps }: Contract): string {
  const lines = [`schema ${enums.get('weft_schema')?.get('WEFT_SCHEMA')}`];
  for (const [name, values] of enums) {
    if (name !== 'weft_schema') lines.push('', ...[...values].map(([one, value]) => `enum ${name}: ${one} = ${value}`));
  }
  for (const [name, { size, members }] of structs) {
    lines.push('', `struct ${name}: ${size} bytes`);
    lines.push(...members.map((one) => `struct ${name}: ${one.offset} ${one.name}, ${one.size} bytes, ${one.type}`));
  }
  lines.push('');
  for (const [name, { type, entriesMax, flags, key, value }] of maps) {
    const kind = Object.entries(MAP_TYPES).find(([, number]) => number === type)?.[0] ?? `type ${type}`;
    const sides = `${key.type} (${key.size}) to ${value.type} (${value.size})`;
    lines.push(`map ${name}: ${kind}, ${entriesMax} entries, flags ${flags}, ${sides}`);
  }
  return `${lines.join('\n')}\n`;
}

/**
 * What may not change under one schema number: an agent that adopts the pins of a former one reads them by its own layouts.
 * New maps, new structs and new numbers in an enum are harmless; what is gone or different is not. Empty: harmless.
 */
export function breakingChanges(before: string, now: string): string[] {
  const [old, current] = [before, now].map((text) => text.split('\n').filter((line) => /^(enum|struct|map) /.test(line)));
  const subject = (line: string): string => line.slice(0, line.indexOf(':'));
  const known = new Set(old?.map(subject));
  const gone = old?.filter((line) => !current?.includes(line)) ?? [];
  const added = current?.filter((line) => !old?.includes(line) && !line.startsWith('enum ') && known.has(subject(line))) ?? [];
  return [...gone.map((line) => `- ${line}`), ...added.map((line) => `+ ${line}`)];
}
