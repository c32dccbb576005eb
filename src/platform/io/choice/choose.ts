import type { Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { CoreIo } from '#platform/io/core/core-io.ts';
import type { Io } from '#platform/io/io.ts';
import { NodeIo } from '#platform/io/node/node-io.ts';

/**
 * The I/O core, or node:net and node:tls where WEFT_IO=node says so: for comparison, and for a Node.js that does not export
 * what the core needs. Errors: WEFT_IO for another value, WEFT_FFI when the core cannot be had.
 */
export function chooseIo(wanted: string | undefined, clock: Clock, mishaps: Mishaps): Io {
  switch (wanted) {
    case undefined:
    case '':
    case 'core':
      return new CoreIo(clock, mishaps);
    case 'node':
      return new NodeIo(clock, mishaps);
    default:
      throw new WeftError('WEFT_IO', `WEFT_IO is "${wanted}"`, { remedy: 'write core, node, or nothing (core)' });
  }
}
