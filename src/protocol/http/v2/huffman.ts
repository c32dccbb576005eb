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

/** The decoded text, one character per byte (latin1); null when the coding or its padding is invalid. */
export function decodeHuffman(bytes: Uint8Array): string | null {
  const text: number[] = [];
  let node = 0;
  let pendingBits = 0;
  let pendingOnes = true;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const one = (byte >>> bit) & 1;
      const next = TREE[node * 2 + one] ?? 0;
      pendingBits++;
      pendingOnes &&= one === 1;
      if (next < LEAF) {
        node = next;
        continue;
      }
      if (next === LEAF + END_OF_STRING) return null;
      text.push(next - LEAF);
      node = 0;
      pendingBits = 0;
      pendingOnes = true;
    }
  }
  if (pendingBits > PADDING_BITS_MAX || !pendingOnes) return null;
  return Buffer.from(text).toString('latin1');
}
