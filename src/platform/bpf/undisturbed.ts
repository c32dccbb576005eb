import koffi from 'koffi';
import { HOST } from '#model/settings/host.ts';
import { ERRNO, errno, sigprocmask } from '#platform/ffi/libc.ts';

/** Fixed by Linux: `sigset_t` of the C library, and SIG_BLOCK, SIG_SETMASK. */
const SET_BYTES = 128;
const [SIG_BLOCK, SIG_SETMASK] = [0, 2];
/** Signals of faults stay: a fault that comes while they are blocked kills without a word. */
const FAULTS: ReadonlySet<number> = new Set([4, 5, 7, 8, 11]);
/** Fixed by Linux: those of real time come after it. */
const SIGNALS_MAX = 31;

const disturbing = Buffer.alloc(SET_BYTES);
for (let signal = 1; signal <= SIGNALS_MAX; signal++)
  if (!FAULTS.has(signal)) disturbing.writeUInt32LE(disturbing.readUInt32LE(0) + 2 ** (signal - 1), 0);

/**
 * The same call, during which this thread hears no signal: the kernel gives up the verification of a program when one is
 * pending (EAGAIN), and a profiler (`node --cpu-prof`) sends one a millisecond, so that trying again alone would not end.
 */
export function undisturbed<Arguments extends unknown[], Result>(
  call: (...args: Arguments) => Result,
): (...args: Arguments) => Result {
  const before = Buffer.alloc(SET_BYTES);
  return (...args) => {
    sigprocmask(SIG_BLOCK, disturbing, before);
    try {
      return call(...args);
    } finally {
      const code = errno(); // that of the call: whoever made it reads it next
      sigprocmask(SIG_SETMASK, before, null);
      koffi.errno(code);
    }
  };
}

/** The same call, made again as long as it fails by a signal. `failedBy`: its errno, or that of the last call. */
export function repeated<Arguments extends unknown[]>(
  call: (...args: Arguments) => number,
  failedBy: () => number = errno,
): (...args: Arguments) => number {
  return (...args) => {
    let result = call(...args);
    for (let tries = 1; result < 0 && tries < HOST.bpfTriesMax && isInterruption(failedBy()); tries++) result = call(...args);
    return result;
  };
}

function isInterruption(code: number): boolean {
  return code === ERRNO.interrupted || code === ERRNO.again;
}
