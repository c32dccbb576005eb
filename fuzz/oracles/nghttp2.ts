import koffi from 'koffi';

/** A header as nghttp2 read it. */
export type ReadField = [name: string, value: string];

/** Fixed by nghttp2.h: the block is complete; a header is there. */
const [FINAL, EMIT] = [1, 2];
/** Bytes of an nghttp2_nv on a 64-bit machine: two pointers, two lengths, flags. Fixed by nghttp2.h. */
const NV_BYTES = 40;

const library = load();

/** Why it cannot be asked; null: it can. */
export const MISSING = library === null ? 'libnghttp2.so.14 is not installed' : null;

function load() {
  try {
    const loaded = koffi.load('libnghttp2.so.14');
    return {
      create: loaded.func('int nghttp2_hd_inflate_new(_Out_ void **inflater)'),
      destroy: loaded.func('void nghttp2_hd_inflate_del(void *inflater)'),
      inflate: loaded.func(
        'intptr nghttp2_hd_inflate_hd2(void *inflater, uint8_t *nv, _Inout_ int *flags, uint8_t *in, size_t length, int final)',
      ),
      endBlock: loaded.func('int nghttp2_hd_inflate_end_headers(void *inflater)'),
    };
  } catch {
    // What `MISSING` says.
    return null;
  }
}

const nv = Buffer.alloc(NV_BYTES);

/** The fields of header blocks that share a table; null: one of them is none. */
export function readByNghttp2(blocks: readonly Buffer[]): ReadField[][] | null {
  if (library === null) throw new Error(MISSING ?? '');
  const made: unknown[] = [null];
  library.create(made);
  const [inflater] = made;
  try {
    const read: ReadField[][] = [];
    for (const block of blocks) {
      const fields = inflate(inflater, block);
      if (fields === null) return null;
      read.push(fields);
    }
    return read;
  } finally {
    library.destroy(inflater);
  }
}

function inflate(inflater: unknown, block: Buffer): ReadField[] | null {
  const fields: ReadField[] = [];
  for (let at = 0; ; ) {
    const flags = [0];
    const taken = Number(library?.inflate(inflater, nv, flags, block.subarray(at), block.length - at, 1));
    if (taken < 0) return null;
    at += taken;
    const [flag = 0] = flags;
    if ((flag & EMIT) !== 0) fields.push([textAt(0, 16), textAt(8, 24)]);
    if ((flag & FINAL) !== 0) break;
    if ((flag & EMIT) === 0 && at === block.length) return null;
  }
  library?.endBlock(inflater);
  return fields;
}

function textAt(pointer: number, length: number): string {
  const bytes = Number(nv.readBigUInt64LE(length));
  if (bytes === 0) return '';
  return Buffer.from(koffi.view(nv.readBigUInt64LE(pointer), bytes)).toString('latin1');
}
