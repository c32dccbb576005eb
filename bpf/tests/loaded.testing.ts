import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { COUNTERS } from '#model/kernel/abi.ts';
import {
  EVENT,
  type KernelEvent,
  MAPS,
  type MapDefinition,
  type MapKey,
  type MapName,
  type MapValue,
  nameInC,
} from '#model/kernel/maps.ts';
import { temporaryBpffs, withoutBpf } from '#platform/bpf/kernel-calls.testing.ts';
import type { ProgramHandle } from '#platform/bpf/libbpf.ts';
import { type BpfMap, type OpenMap, openPin, openPinnedMap } from '#platform/bpf/map.ts';
import { loadObject } from '#platform/bpf/object.ts';
import { counterReader, readRing } from '#platform/bpf/reports.ts';

const ROOT = join(import.meta.dirname, '../..');

/** As `withoutBpf`, for tests that also compile programs of their own. */
export const withoutPrograms: string | false =
  withoutBpf !== false
    ? withoutBpf
    : spawnSync('clang', ['--version']).status === 0
      ? false
      : 'MISSING: clang, so no program was run by itself';

/** One object with maps of its own, attached to nothing. */
export type LoadedProgram = {
  program(name: string): ProgramHandle;
  map<Name extends MapName>(name: Name): BpfMap<MapKey<Name>, MapValue<Name>>;
  /** What each counter has risen by since the last call; those that stand still are left out. */
  counted(): Record<string, number>;
  /** The refusals since the last call. */
  events(): KernelEvent[];
  /** The ring that they are read from. */
  eventsFd: number;
  close(): void;
};

/** Loads build/bpf/NAME.o (attach) or build/bpf-tests/NAME.o (tests), compiling what is stale. */
export function loadProgram(set: 'attach' | 'tests', name: string): LoadedProgram {
  execFileSync(join(ROOT, 'scripts/build-bpf'), [set], { stdio: 'pipe' });
  const bpffs = temporaryBpffs();
  const pin = (map: string): string => join(bpffs.path, 'maps', nameInC(map));
  mkdirSync(join(bpffs.path, 'maps'));
  const path = join(ROOT, set === 'attach' ? 'build/bpf' : 'build/bpf-tests', `${name}.o`);
  const object = loadObject(path, (map) => ({ pinPath: pin(map) }), null);
  const opened = new Map<string, OpenMap>();
  const counters = openPin(pin('counters'));
  const ring = openPin(pin('events'));
  const seen: KernelEvent[] = [];
  const reader = readRing(ring.fd, EVENT, (event) => seen.push(event), SILENT_MISHAPS);
  const counted = counterReader(counters);
  let before = counted.all();
  return {
    program(wanted) {
      const found = object.programs.get(wanted);
      if (found === undefined) throw new Error(`${path} has no program ${wanted}`);
      return found;
    },
    map<Name extends MapName>(name: Name) {
      type Typed = BpfMap<MapKey<Name>, MapValue<Name>>;
      const known = opened.get(name);
      if (known !== undefined) return known as Typed;
      const map: Typed = openPinnedMap(pin(name), MAPS[name] as unknown as MapDefinition<MapKey<Name>, MapValue<Name>>);
      opened.set(name, map);
      return map;
    },
    eventsFd: ring.fd,
    counted() {
      const now = counted.all();
      const risen = COUNTERS.map((counter) => [counter, now[counter] - before[counter]] as const);
      before = now;
      return Object.fromEntries(risen.filter(([, by]) => by !== 0));
    },
    events() {
      reader.drain(Number.MAX_SAFE_INTEGER);
      return seen.splice(0);
    },
    close() {
      reader.close();
      for (const map of [counters, ring, ...opened.values()]) map.close();
      object.close();
      bpffs.remove();
    },
  };
}
