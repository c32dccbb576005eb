import { deflateRawSync, constants as zlib } from 'node:zlib';

/** What a client writes after its handshake: frames, in pieces of so many bytes. */
export type WebSocketCase = { readonly name: string; readonly bytes: Buffer; readonly pieceBytes: number };

const [CONTINUED, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10] as const;
const MASK = Buffer.from('37fa213d', 'hex');
const WHOLE = 64 << 10;

type Frame = { opcode: number; payload?: Buffer | string; final?: boolean; reserved?: number };

/** A masked frame, as clients send them (RFC 6455 5.2). */
function frame({ opcode, payload = '', final = true, reserved = 0 }: Frame): Buffer {
  const data = Buffer.from(payload);
  const length = data.length;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  for (let at = 0; at < data.length; at++) data[at] = (data[at] ?? 0) ^ (MASK[at & 3] ?? 0);
  return Buffer.concat([head, MASK, data]);
}

/** Payload of a close frame. */
function closing(code: number, reason: Buffer | string = ''): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason)]);
}
const BYE = frame({ opcode: CLOSE, payload: closing(1000) });

/** Frames that a server answers, and a close behind them. */
function polite(name: string, frames: readonly Buffer[], pieceBytes = WHOLE): WebSocketCase {
  return { name, bytes: Buffer.concat([...frames, BYE]), pieceBytes };
}

/** Frames that break the protocol with the last one: the server closes. */
function broken(name: string, frames: readonly Buffer[], pieceBytes = WHOLE): WebSocketCase {
  return { name, bytes: Buffer.concat(frames), pieceBytes };
}

function letters(bytes: number): string {
  return 'BAsd7&jh23'.repeat(Math.ceil(bytes / 10)).slice(0, bytes);
}

function fragments(opcode: number, payload: Buffer | string, fragmentBytes: number, between: readonly Buffer[] = []): Buffer[] {
  const data = Buffer.from(payload);
  const frames: Buffer[] = [];
  for (let at = 0; at < data.length || at === 0; at += fragmentBytes) {
    const final = at + fragmentBytes >= data.length;
    frames.push(frame({ opcode: at === 0 ? opcode : CONTINUED, payload: data.subarray(at, at + fragmentBytes), final }));
    if (!final) frames.push(...between);
  }
  return frames;
}

/** A message as permessage-deflate sends it (RFC 7692 7.2.1), the context not taken over. */
function deflated(text: string): Buffer {
  const bytes = deflateRawSync(text, { finishFlush: zlib.Z_SYNC_FLUSH });
  return frame({ opcode: TEXT, payload: bytes.subarray(0, -4), reserved: 4 });
}

const ping = frame({ opcode: PING, payload: 'ping' });
const SIZES = [0, 125, 126, 127, 128, 65_535, 65_536];
const VALID_UTF8 = ['κόσμε', 'Hello-µ@ßöäüàá-UTF-8!!', '\u{10ffff}', '\ud7ff\ue000'];
const INVALID_UTF8 = ['cebae1bdb9cf83cebcceb5eda080656469746564', 'f4908080', 'c0af', 'fe', 'eda080', 'ce'];
const GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
const BAD_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535];

/** In the order and with the subjects of the Autobahn test suite's sections. */
export const CASES: readonly WebSocketCase[] = [
  // 1 Framing.
  ...[TEXT, BINARY].flatMap((opcode) => [
    ...SIZES.map((bytes) => polite(`1.${opcode} ${bytes} bytes`, [frame({ opcode, payload: letters(bytes) })])),
    polite(`1.${opcode} 65,536 bytes in pieces of 997`, [frame({ opcode, payload: letters(65_536) })], 997),
  ]),
  // 2 Pings and pongs.
  polite('2.1 a ping without payload', [frame({ opcode: PING })]),
  polite('2.2 a ping', [ping]),
  polite('2.3 a ping of bytes', [frame({ opcode: PING, payload: Buffer.from('00fffefdfcfb00ff', 'hex') })]),
  polite('2.4 a ping of 125 bytes', [frame({ opcode: PING, payload: letters(125) })]),
  broken('2.5 a ping of 126 bytes', [frame({ opcode: PING, payload: letters(126) })]),
  polite('2.6 a ping octet by octet', [frame({ opcode: PING, payload: letters(125) })], 1),
  polite('2.7 a pong that nobody asked for', [frame({ opcode: PONG })]),
  polite('2.9 a pong and a ping', [frame({ opcode: PONG, payload: 'x' }), ping]),
  polite(
    '2.10 ten pings',
    Array.from({ length: 10 }, () => ping),
  ),
  polite(
    '2.11 ten pings octet by octet',
    Array.from({ length: 10 }, () => ping),
    1,
  ),
  // 3 Reserved bits.
  ...[1, 2, 3, 5, 6, 7].map((reserved) =>
    broken(`3.${reserved} reserved bits`, [frame({ opcode: TEXT, payload: 'x', reserved })]),
  ),
  broken('3.8 reserved bits behind a message', [frame({ opcode: TEXT, payload: 'x' }), frame({ opcode: PING, reserved: 2 })]),
  // 4 Opcodes.
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => broken(`4.${opcode} a reserved opcode`, [frame({ opcode })])),
  // 5 Fragments.
  broken('5.1 a ping in fragments', fragments(PING, 'fragment', 4)),
  broken('5.2 a pong in fragments', fragments(PONG, 'fragment', 4)),
  polite('5.3 a text in fragments', fragments(TEXT, 'fragment1fragment2', 9)),
  polite('5.5 a text in fragments octet by octet', fragments(TEXT, 'fragment1fragment2', 9), 1),
  polite('5.6 a ping between fragments', fragments(TEXT, 'fragment1fragment2', 9, [ping])),
  polite('5.8 a ping between fragments octet by octet', fragments(TEXT, 'fragment1fragment2', 9, [ping]), 1),
  broken('5.9 an end of nothing', [frame({ opcode: CONTINUED, payload: 'x' })]),
  broken('5.12 a piece of nothing', [frame({ opcode: CONTINUED, payload: 'x', final: false })]),
  broken('5.15 an end too much', [...fragments(TEXT, 'fragment1fragment2', 9), frame({ opcode: CONTINUED, payload: 'x' })]),
  broken('5.18 a text within a text', [
    frame({ opcode: TEXT, payload: 'x', final: false }),
    frame({ opcode: TEXT, payload: 'y' }),
  ]),
  polite('5.19 five fragments with pings', fragments(TEXT, letters(45), 9, [ping])),
  // 6 UTF-8.
  ...VALID_UTF8.map((text) => polite(`6.2 ${text}`, [frame({ opcode: TEXT, payload: text })])),
  ...VALID_UTF8.map((text) => polite(`6.5 ${text} in fragments of an octet`, fragments(TEXT, text, 1))),
  ...INVALID_UTF8.map((hex) =>
    polite(`6.6 ${hex}, that no text holds`, [frame({ opcode: TEXT, payload: Buffer.from(hex, 'hex') })]),
  ),
  // 7 Close.
  polite('7.1 a message, then close', [frame({ opcode: TEXT, payload: 'x' })]),
  broken('7.1 close, then a ping', [BYE, ping]),
  broken('7.3 close without a code', [frame({ opcode: CLOSE })]),
  broken('7.3 close of one byte', [frame({ opcode: CLOSE, payload: 'x' })]),
  broken('7.3 close with the longest reason', [frame({ opcode: CLOSE, payload: closing(1000, letters(123)) })]),
  broken('7.3 close with a reason too long', [frame({ opcode: CLOSE, payload: closing(1000, letters(124)) })]),
  broken('7.5 close with a reason that is no text', [frame({ opcode: CLOSE, payload: closing(1000, Buffer.from('ce', 'hex')) })]),
  ...[...GOOD_CODES, ...BAD_CODES].map((code) => broken(`7.7 close ${code}`, [frame({ opcode: CLOSE, payload: closing(code) })])),
  broken('7.0 an end without close', []),
  // 9 Size.
  ...[1 << 18, 1 << 20, 1 << 24].map((bytes) =>
    polite(`9.2 ${bytes} bytes`, [frame({ opcode: BINARY, payload: letters(bytes) })]),
  ),
  ...[64, 1_024, 65_536].map((bytes) =>
    polite(`9.4 a megabyte in fragments of ${bytes}`, fragments(BINARY, letters(1 << 20), bytes)),
  ),
  polite('9.6 a megabyte in pieces of 2,048', [frame({ opcode: BINARY, payload: letters(1 << 20) })], 2_048),
  polite(
    '9.7 a thousand messages',
    Array.from({ length: 1_000 }, (_, at) => frame({ opcode: TEXT, payload: letters(at) })),
  ),
  // 10 Fragments as stacks make them.
  polite('10.1 64 KiB in fragments of 1,300', fragments(TEXT, letters(65_536), 1_300)),
  // 12 Compression.
  polite('12.1 a text, compressed', [deflated(letters(100))]),
  polite('12.2 a long text, compressed', [deflated(letters(1 << 20))]),
  polite('12.3 a text as it is behind one that is compressed', [deflated('x'), frame({ opcode: TEXT, payload: 'y' })]),
];
