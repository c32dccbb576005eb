import koffi from 'koffi';
import { WeftError } from '#model/error.ts';
import { EVENT, type KernelEvent } from '#model/kernel/maps.ts';
import { libbpf, registerRingCallback } from './libbpf.ts';

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
