import { type Header, STATIC_TABLE } from './hpack-table.ts';

const NAME_INDEX: ReadonlyMap<string, number> = new Map(
  [...STATIC_TABLE.entries()].reverse().map(([at, [name]]) => [name, at + 1]),
);
const FIELD_INDEX: ReadonlyMap<string, number> = new Map(STATIC_TABLE.map(([name, value], at) => [`${name}\0${value}`, at + 1]));

function pushInteger(bytes: number[], prefixBits: number, flags: number, value: number): void {
  const prefixMax = 2 ** prefixBits - 1;
  if (value < prefixMax) {
    bytes.push(flags | value);
    return;
  }
  bytes.push(flags | prefixMax);
  let rest = value - prefixMax;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
}

function pushString(bytes: number[], text: string): void {
  const raw = Buffer.from(text, 'latin1');
  pushInteger(bytes, 7, 0, raw.length);
  for (const byte of raw) bytes.push(byte);
}

/**
 * A header block (RFC 7541) that needs no state on either side: static table and plain literals only.
 * A tunnel sends one small block in its life, so compression would buy nothing.
 */
export function encodeHeaders(headers: readonly Header[]): Buffer {
  const bytes: number[] = [];
  for (const [name, value] of headers) {
    const field = FIELD_INDEX.get(`${name}\0${value}`);
    if (field !== undefined && value !== '') {
      pushInteger(bytes, 7, 0x80, field);
      continue;
    }
    const nameIndex = NAME_INDEX.get(name) ?? 0;
    pushInteger(bytes, 4, 0, nameIndex);
    if (nameIndex === 0) pushString(bytes, name);
    pushString(bytes, value);
  }
  return Buffer.from(bytes);
}
