import koffi from 'koffi';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { COUNTERS, type CounterName } from '#model/kernel/abi.ts';
import type { Layout } from '#model/kernel/layout.ts';
import { libbpf, registerRingCallback } from './libbpf.ts';
import type { OpenMap } from './map.ts';

/** A ring buffer of the programs; its reader asks on a timer, and never for more than a turn of the thread can bear. */
export type RingReader = {
  /** Hands over at most `most` records, oldest first, and says how many it were; the rest stay for the next call. */
  drain(most: number): number;
  close(): void;
};

/** Made once for each size: koffi keeps every type it is asked for, so one per record would be memory that never comes back. */
const BYTES = new Map<number, ReturnType<typeof koffi.array>>();
/** A negative answer ends the reading, with this record taken; libbpf 1.1 has no bound of its own. */
const ENOUGH = -1;

/** Reads a ring whose records are all `layout`. Errors: WEFT_BPF_MAP when the ring cannot be mapped. */
export function readRing<Record>(
  ringFd: number,
  layout: Layout<Record>,
  onRecord: (record: Record) => void,
  mishaps: Mishaps,
): RingReader {
  const bytes = BYTES.get(layout.size) ?? koffi.array('uint8_t', layout.size, 'Typed');
  BYTES.set(layout.size, bytes);
  let [taken, wanted] = [0, 0];
  const callback = registerRingCallback((_context, data, size) => {
    taken++;
    // What is thrown here would have to pass through C: the one record is lost, the ring is read on.
    try {
      if (Number(size) === layout.size) onRecord(layout.decode(Buffer.from(koffi.decode(data, bytes))));
    } catch (error) {
      mishaps.report('kernel-event', error);
    }
    return taken < wanted ? 0 : ENOUGH;
  });
  const ring = libbpf().ringNew(ringFd, callback, null, null);
  if (ring === null) throw new WeftError('WEFT_BPF_MAP', 'cannot map a ring buffer of the programs');
  return {
    drain(most) {
      [taken, wanted] = [0, most];
      libbpf().ringConsume(ring);
      return taken;
    },
    close: () => {
      libbpf().ringFree(ring);
      koffi.unregister(callback);
    },
  };
}

/** Counters of the programs: the sums over all CPUs. They start at 0 with the map and only rise. */
export type CounterReader = { all(): Record<CounterName, number>; one(name: CounterName): number };

/** One counter costs one call of the kernel: whoever looks often looks at one. */
export function counterReader(counters: OpenMap): CounterReader {
  const cpus = libbpf().possibleCpus();
  const key = Buffer.alloc(4);
  const into = Buffer.alloc(8 * cpus); // the kernel writes one number per possible CPU, whatever the map's value size says
  const total = (index: number): number => {
    key.writeUInt32LE(index);
    if (libbpf().mapLookup(counters.fd, key, into) !== 0) return 0;
    let sum = 0n;
    for (let cpu = 0; cpu < cpus; cpu++) sum += into.readBigUInt64LE(cpu * 8);
    return Number(sum);
  };
  return {
    all: () => Object.fromEntries(COUNTERS.map((name, index) => [name, total(index)])) as Record<CounterName, number>,
    one: (name) => total(COUNTERS.indexOf(name)),
  };
}
