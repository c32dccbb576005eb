import { ERRNO } from '#platform/ffi/libc.ts';
import { SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';

/** Chance that a seed decides: 0 to below `bound`. */
export type Dice = (bound: number) => number;

/** The same numbers for the same seed (splitmix32). */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % bound;
  };
}

/** One in so many calls is spoilt, in ways that no user of a stream may notice. */
const SPOILT_ONE_IN = 4;

/**
 * System calls as a kernel may answer any time: fewer bytes than were asked for, interruptions, not now, fewer events. None of it
 * is an error, and whoever uses a stream must not see any of it.
 */
export function moodyCalls(dice: Dice): Syscalls {
  const spoilt = (): boolean => dice(SPOILT_ONE_IN) === 0;
  const some = (bytes: number): number => (bytes > 1 && spoilt() ? 1 + dice(dice(2) === 0 ? Math.min(bytes, 64) : bytes) : bytes);
  const passing = (call: (bytes: number) => number, bytes: number): number => {
    if (spoilt()) return dice(2) === 0 ? -ERRNO.interrupted : -ERRNO.again;
    return call(some(bytes));
  };
  return {
    ...SYSCALLS,
    recv: (fd, memory, offset, bytes) => passing((count) => SYSCALLS.recv(fd, memory, offset, count), bytes),
    send: (fd, memory, offset, bytes) => passing((count) => SYSCALLS.send(fd, memory, offset, count), bytes),
    sendFrom: (fd, buffer, start, end) => passing((count) => SYSCALLS.sendFrom(fd, buffer, start, start + count), end - start),
    accept: (fd, address) => (spoilt() ? -ERRNO.interrupted : SYSCALLS.accept(fd, address)),
    epollWait: (epoll, events, timeoutMs) =>
      spoilt() && timeoutMs === 0 ? -ERRNO.interrupted : SYSCALLS.epollWait(epoll, events, timeoutMs),
  };
}

/** The calls that are made for one descriptor, of which each can fail. */
export const FAILING = ['recv', 'send', 'sendFrom', 'connect', 'shutdownWrite', 'epollCtl', 'takeError'] as const;

/** Those that do what they are asked to, whatever they answer. */
export const FAILING_ALL_THE_SAME = ['setInt', 'resetOnClose', 'close'] as const;

type Failing = (typeof FAILING)[number] | (typeof FAILING_ALL_THE_SAME)[number];

/** System calls of which the one that `fails` picks fails with an errno. */
export function failingCalls(errno: number, fails: (name: Failing) => boolean): Syscalls {
  const failed = (name: Failing, result: () => number): number => (fails(name) ? -errno : result());
  const done = (name: Failing, result: number): number => (fails(name) ? -errno : result);
  return {
    ...SYSCALLS,
    recv: (...args) => failed('recv', () => SYSCALLS.recv(...args)),
    send: (...args) => failed('send', () => SYSCALLS.send(...args)),
    sendFrom: (...args) => failed('sendFrom', () => SYSCALLS.sendFrom(...args)),
    connect: (...args) => failed('connect', () => SYSCALLS.connect(...args)),
    shutdownWrite: (...args) => failed('shutdownWrite', () => SYSCALLS.shutdownWrite(...args)),
    epollCtl: (...args) => failed('epollCtl', () => SYSCALLS.epollCtl(...args)),
    takeError: (fd) => (fails('takeError') ? errno : SYSCALLS.takeError(fd)),
    setInt: (...args) => done('setInt', SYSCALLS.setInt(...args)),
    resetOnClose: (...args) => done('resetOnClose', SYSCALLS.resetOnClose(...args)),
    close: (...args) => done('close', SYSCALLS.close(...args)),
  };
}
