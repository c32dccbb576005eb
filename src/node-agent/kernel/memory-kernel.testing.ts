import type { Kernel, KernelMaps, Table } from '#node-agent/effects/agent-effects.ts';

/** A map in memory with the behaviour of an eBPF hash: values are copies, a full map refuses new keys. */
export function memoryTable<K, V>(entriesMax = Number.POSITIVE_INFINITY): Table<K, V> {
  const text = (key: K): string =>
    JSON.stringify(key, (_name, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
  const kept = new Map<string, [K, V]>();
  return {
    get: (key) => kept.get(text(key))?.[1] ?? null,
    set(key, value) {
      if (!kept.has(text(key)) && kept.size >= entriesMax) throw new Error('E2BIG');
      kept.set(text(key), [key, value]);
    },
    delete: (key) => kept.delete(text(key)),
    entries: () => [...kept.values()],
  };
}

/** A kernel for unit tests of the agent's bookkeeping. */
export function memoryKernel(addressesMax?: number): Kernel {
  const maps: KernelMaps = {
    config: memoryTable(),
    workloads: memoryTable(),
    addresses: memoryTable(addressesMax),
    services: memoryTable(),
    backends: memoryTable(),
    waypoints: memoryTable(),
    verdicts: memoryTable(),
    captured: memoryTable(),
    flows: memoryTable(),
    names: memoryTable(),
  };
  return {
    maps,
    schema: 1,
    adopted: false,
    attachNamespace() {},
    detachNamespace() {},
    counters: () => ({}),
  };
}
