import koffi from 'koffi';
import { placeMemory } from './memory.ts';

// Preloaded by tests (`node --import ./src/platform/ffi/guard.testing.ts`), before any memory is made: whatever foreign functions read
// or write lies between pages that nobody may touch. One byte too far ends the process.

const libc = koffi.load('libc.so.6');
const mmap: (at: number, bytes: number, rights: number, flags: number, fd: number, offset: number) => number = libc.func(
  'uintptr_t mmap(uintptr_t at, size_t bytes, int rights, int flags, int fd, int64_t offset)',
);
const munmap: (at: number, bytes: number) => number = libc.func('int munmap(uintptr_t at, size_t bytes)');
const mprotect: (at: number, bytes: number, rights: number) => number = libc.func(
  'int mprotect(uintptr_t at, size_t bytes, int rights)',
);

/** Fixed by Linux. */
const PAGE_BYTES = 4_096;
const READ_WRITE = 3;
const PRIVATE_ANONYMOUS = 0x22;
const NOTHING = 0;
/** What nobody has written yet. */
const POISON = 0xdb;

type Place = { readonly at: number; readonly bytes: number };

/** Once a memory is nobody's any more its pages are; an address that was kept ends the process. */
const freed = new FinalizationRegistry<Place>(({ at, bytes }) => void munmap(at, bytes));

placeMemory((bytes) => {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  const whole = (pages + 2) * PAGE_BYTES;
  const at = mmap(0, whole, NOTHING, PRIVATE_ANONYMOUS, -1, 0);
  if (mprotect(at + PAGE_BYTES, pages * PAGE_BYTES, READ_WRITE) !== 0) throw new Error('mprotect failed');
  // It ends where the page does: what runs over is found at the first byte.
  const start = at + (1 + pages) * PAGE_BYTES - bytes;
  const buffer = Buffer.from(koffi.view(BigInt(start), bytes)).fill(POISON);
  freed.register(buffer, { at, bytes: whole });
  return { buffer, address: start };
});
