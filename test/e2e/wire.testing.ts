import { isIPv4 } from 'node:net';

/** A field of a message on the wire: its number, and a text, a number, an address, bytes in hex, or a message of its own. */
export type Field = readonly [number: number, value: FieldValue];
/** `{ ip }`: 4 bytes of an IPv4 address; `{ hex }`: any bytes. */
export type FieldValue = string | number | { readonly ip: string } | { readonly hex: string } | readonly Field[];

/** Protocol buffers by field numbers alone, so that the schemas of the tree have no part in what others would send. */
export function encodeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([number, value]) => encodeField(number, value)));
}

function encodeField(number: number, value: FieldValue): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = bytesOf(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function bytesOf(value: Exclude<FieldValue, number>): Buffer {
  if (typeof value === 'string') return Buffer.from(value);
  if ('hex' in value) return Buffer.from(value.hex, 'hex');
  if ('ip' in value) {
    if (!isIPv4(value.ip)) throw new Error(`${value.ip} is no IPv4 address`);
    return Buffer.from(value.ip.split('.').map(Number));
  }
  return encodeFields(value);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** The fields of a message as they stand there: numbers, and bytes of everything that has a length. */
export function decodeFields(bytes: Uint8Array): (readonly [number: number, value: number | Buffer])[] {
  const found: (readonly [number, number | Buffer])[] = [];
  let at = 0;
  const number = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    if ((tag & 7) === 0) found.push([tag >> 3, number()]);
    else if ((tag & 7) === 2) {
      const length = number();
      found.push([tag >> 3, Buffer.from(bytes.subarray(at, at + length))]);
      at += length;
    } else throw new Error(`wire type ${tag & 7}`);
  }
  return found;
}

/** All texts of a field of a message. */
export function texts(bytes: Uint8Array, wanted: number): string[] {
  return messages(bytes, wanted).map((value) => value.toString());
}

/** All messages, or texts as bytes, of a field of a message. */
export function messages(bytes: Uint8Array, wanted: number): Buffer[] {
  return decodeFields(bytes).flatMap(([number, value]) => (number === wanted && typeof value !== 'number' ? [value] : []));
}

/** A map of texts, as entries of the fields 1 and 2. */
export function textMap(bytes: Uint8Array, wanted: number): Record<string, string> {
  return Object.fromEntries(messages(bytes, wanted).map((entry) => [texts(entry, 1)[0] ?? '', texts(entry, 2)[0] ?? '']));
}

/** A google.protobuf.Struct whose values are texts. */
export function textStruct(bytes: Uint8Array): Record<string, string> {
  const entries = messages(bytes, 1).map((entry) => {
    const [value] = messages(entry, 2);
    return [texts(entry, 1)[0] ?? '', value === undefined ? '' : (texts(value, 3)[0] ?? '')];
  });
  return Object.fromEntries(entries);
}
