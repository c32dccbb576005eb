import koffi from 'koffi';
import { WeftError } from '#model/error.ts';
import { COUNTERS } from '#model/kernel/abi.ts';
import { EVENT, type KernelEvent } from '#model/kernel/maps.ts';
import { libbpf, registerRingCallback } from './libbpf.ts';
import type { OpenMap } from './map.ts';

/** Reads the events ring buffer; call drain() from a timer. */
export type EventReader = { drain(): void; close(): void };

/** Errors: WEFT_BPF_MAP when the ring cannot be mapped. */
export function readEvents(ringFd: number, onEvent: (event: KernelEvent) => void): EventReader {
  const callback = registerRingCallback((_context, data, size) => {
    if (Number(size) === EVENT.size)
      onEvent(EVENT.decode(Buffer.from(koffi.decode(data, koffi.array('uint8_t', EVENT.size, 'Typed')))));
    return 0;
  });
  const ring = libbpf().ringNew(ringFd, callback, null, null);
  if (ring === null) throw new WeftError('WEFT_BPF_MAP', 'cannot map the events ring buffer');
  return {
    drain: () => {
      libbpf().ringConsume(ring);
    },
    close: () => {
      libbpf().ringFree(ring);
      koffi.unregister(callback);
    },
  };
}

/** What each counter of the programs stands at: the sum over all CPUs. They start at 0 with the map and only rise. */
export function readCounters(counters: OpenMap): Record<(typeof COUNTERS)[number], number> {
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
  return Object.fromEntries(COUNTERS.map((name, index) => [name, total(index)])) as Record<(typeof COUNTERS)[number], number>;
}
