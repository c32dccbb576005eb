/** tchar of RFC 9110: what a method or header name may hold. 1: yes. */
export const TOKEN = tableOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

/** What a header name may hold as we write it: a token in lower case. */
export const FIELD_NAME = TOKEN.map((allowed, code) => (code >= 0x41 && code <= 0x5a ? 0 : allowed));

/** What a header value may hold: tab, visible ASCII, space, and bytes from 0x80 on. */
export const FIELD_VALUE = rangesOf([0x09, 0x09], [0x20, 0x7e], [0x80, 0xff]);

/** What a request target may hold: visible ASCII. */
export const TARGET = rangesOf([0x21, 0x7e]);

/** The byte in lower case. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, code) => (code >= 0x41 && code <= 0x5a ? code + 0x20 : code));

/** The value of a hexadecimal digit; -1 for any other byte. */
export const HEX_VALUE = Int8Array.from({ length: 256 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? -1 : value;
});

/** The bytes that mean something to the parsers. */
export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const SLASH = 0x2f;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

/** 1 for each of the letters, ASCII all of them. */
export function tableOf(letters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const letter of letters) table[letter.charCodeAt(0)] = 1;
  return table;
}

function rangesOf(...ranges: [number, number][]): Uint8Array {
  const table = new Uint8Array(256);
  for (const [from, to] of ranges) table.fill(1, from, to + 1);
  return table;
}

/** The text of `bytes[start, end)`, one character per byte. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end);
}
