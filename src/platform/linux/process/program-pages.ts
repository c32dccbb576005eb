import { readFileSync } from 'node:fs';
import { madvise } from '#platform/ffi/libc.ts';

/** madvise(2). Fixed by Linux. */
const MADV_DONTNEED = 4;
/** The first line of an entry of smaps: from, to, rights, and the file. */
const ENTRY = /^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ \d+ +(\S.*)$/m;
/** A page that was written is nowhere else. */
const UNWRITTEN = /^Anonymous: +0 kB$/m;

/**
 * Gives the pages of the running program back to the cache of files, from which they return when something needs them: a start touches,
 * and the kernel maps around each touch, far more of Node.js than is ever used again. Its libraries keep theirs. Returns the bytes that
 * it let go of; none where the kernel says nothing of its mappings.
 */
export function releaseProgramPages(): number {
  // What was not written when the program was mapped never is. To ask the kernel again takes some 100 ms where a heap is large.
  mappings ??= unwrittenMappings(readMappings(), process.execPath);
  let bytes = 0;
  for (const [at, end] of mappings) if (madvise(at, end - at, MADV_DONTNEED) === 0) bytes += end - at;
  return bytes;
}

let mappings: [from: number, to: number][] | null = null;

function readMappings(): string {
  try {
    return readFileSync('/proc/self/smaps', 'latin1');
  } catch {
    return '';
  }
}

/** Where a file is mapped to be read only, and nothing of it was written: from and to, of each mapping in the text of smaps. */
export function unwrittenMappings(smaps: string, file: string): [from: number, to: number][] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((entry) => {
    const [, from = '', to = '', mapped] = ENTRY.exec(entry) ?? [];
    return mapped === file && UNWRITTEN.test(entry) ? [[Number.parseInt(from, 16), Number.parseInt(to, 16)]] : [];
  });
}
