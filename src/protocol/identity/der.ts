/** Tags of DER. Fixed by X.690. */
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OBJECT_ID = 0x06;
export const SEQUENCE = 0x30;
export const CONTEXT_0 = 0xa0;

/** One element: `at` its tag, `start` to `end` its content. */
export type Element = { readonly tag: number; readonly at: number; readonly start: number; readonly end: number };

/** The element that begins at `at`. Errors: RangeError when it does not fit. */
export function elementAt(der: Buffer, at: number): Element {
  const tag = der.readUInt8(at);
  const first = der.readUInt8(at + 1);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || first === 0x80) throw new RangeError('a length that DER does not know');
  const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
  const start = at + 2 + lengthBytes;
  if (start + length > der.length) throw new RangeError('an element that does not end');
  return { tag, at, start, end: start + length };
}

/** What a constructed element holds. Errors: as elementAt. */
export function children(der: Buffer, { start, end }: Element): Element[] {
  const found: Element[] = [];
  for (let at = start; at < end; ) {
    const element = elementAt(der, at);
    if (element.end > end) throw new RangeError('an element that is longer than what holds it');
    found.push(element);
    at = element.end;
  }
  return found;
}

/** An element as hex; `whole`: with its tag and length. */
export function textOf(der: Buffer, { at, start, end }: Element, whole = true): string {
  return der.toString('hex', whole ? at : start, end);
}
