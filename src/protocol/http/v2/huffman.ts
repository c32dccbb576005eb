/**
 * Code lengths in bits of the bytes 0..255 and of the end-of-string symbol (RFC 7541 appendix B).
 * The code is canonical, so the lengths are all there is to know: codes count up within a length, shorter first.
 */
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22,
  23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22,
  21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26,
  27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26,
  26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const END_OF_STRING = 256;
const LEAF = 0x8000;
/** More would be a whole byte. Fixed by RFC 7541 5.2. */
const PADDING_BITS_MAX = 7;

/** Two slots per node: where a 0 and where a 1 lead; LEAF + symbol at an end. */
const TREE: Uint16Array = buildTree();

function buildTree(): Uint16Array {
  const tree = new Uint16Array(CODE_BITS.length * 2);
  const order = CODE_BITS.map((bits, symbol) => ({ bits, symbol })).sort((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  let nodes = 1;
  let code = 0;
  let codeBits = 0;
  for (const { bits, symbol } of order) {
    code *= 2 ** (bits - codeBits);
    codeBits = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const slot = node * 2 + ((code >>> bit) & 1);
      if (tree[slot] === 0) tree[slot] = nodes++;
      node = tree[slot] ?? 0;
    }
    tree[node * 2 + (code & 1)] = LEAF + symbol;
    code++;
  }
  return tree;
}

/**
 * The same four bits at a time: for each node and half byte, where it leads, and the byte that it completes (no code is
 * shorter than five bits, so there is one at most). Three numbers a step would be larger and no faster.
 */
const FOUR_BITS = 16;
const NO_SYMBOL = 0x1ff;
const FAILS = 0xffff;
const STEPS: Uint32Array = buildSteps();
/** Which nodes may be the last: at most seven bits, all ones, since the last byte was complete. */
const MAY_END: Uint8Array = buildEnds();

function buildSteps(): Uint32Array {
  const steps = new Uint32Array(CODE_BITS.length * FOUR_BITS);
  for (let node = 0; node < CODE_BITS.length; node++)
    for (let bits = 0; bits < FOUR_BITS; bits++) steps[node * FOUR_BITS + bits] = stepFrom(node, bits);
  return steps;
}

function stepFrom(start: number, bits: number): number {
  let node = start;
  let symbol = NO_SYMBOL;
  for (let bit = 3; bit >= 0; bit--) {
    const next = TREE[node * 2 + ((bits >>> bit) & 1)] ?? 0;
    if (next === LEAF + END_OF_STRING) return FAILS * 0x1_0000;
    if (next < LEAF) node = next;
    else {
      symbol = next - LEAF;
      node = 0;
    }
  }
  return node * 0x1_0000 + symbol;
}

function buildEnds(): Uint8Array {
  const ends = new Uint8Array(CODE_BITS.length);
  ends[0] = 1;
  for (let node = TREE[1] ?? LEAF, bits = 1; bits <= PADDING_BITS_MAX && node < LEAF; bits++) {
    ends[node] = 1;
    node = TREE[node * 2 + 1] ?? LEAF;
  }
  return ends;
}

/** Where texts are put together; the shortest code has five bits, so it is eight fifths of the longest text that is read. */
let scratch = Buffer.allocUnsafeSlow(4_096);

/** The decoded text of `bytes[start, end)`, one character per byte (latin1); null when the coding or its padding is invalid. */
export function decodeHuffman(bytes: Uint8Array, start = 0, end = bytes.length): string | null {
  if ((end - start) * 2 > scratch.length) scratch = Buffer.allocUnsafeSlow((end - start) * 2);
  const text = scratch;
  let length = 0;
  let node = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const high = STEPS[node * FOUR_BITS + (byte >>> 4)] ?? 0;
    node = high >>> 16;
    if (node === FAILS) return null;
    if ((high & NO_SYMBOL) !== NO_SYMBOL) text[length++] = high & 0xff;
    const low = STEPS[node * FOUR_BITS + (byte & 15)] ?? 0;
    node = low >>> 16;
    if (node === FAILS) return null;
    if ((low & NO_SYMBOL) !== NO_SYMBOL) text[length++] = low & 0xff;
  }
  return MAY_END[node] === 1 ? text.toString('latin1', 0, length) : null;
}
