/** One HTTP/2 frame as it lay on the wire. */
export type Frame = { type: number; flags: number; stream: number; payload: Buffer };

export const FRAME_TYPE = { data: 0, headers: 1, rstStream: 3, settings: 4 } as const;
export const END_STREAM = 1;
const ACK = 1;
const PREFACE_BYTES = 24;

/** The whole frames in what one peer sent; `client`: it begins with the preface. */
export function framesIn(bytes: Buffer, client: boolean): Frame[] {
  const frames: Frame[] = [];
  let at = client ? PREFACE_BYTES : 0;
  while (at + 9 <= bytes.length) {
    const length = bytes.readUIntBE(at, 3);
    if (at + 9 + length > bytes.length) break;
    const payload = bytes.subarray(at + 9, at + 9 + length);
    frames.push({ type: bytes.readUInt8(at + 3), flags: bytes.readUInt8(at + 4), stream: bytes.readUInt32BE(at + 5), payload });
    at += 9 + length;
  }
  return frames;
}

export function frameBytes({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** What a peer must say first: its settings, and that it has seen ours. */
export function settingsAndAck(): Buffer {
  const settings = { type: FRAME_TYPE.settings, flags: 0, stream: 0, payload: Buffer.alloc(0) };
  return Buffer.concat([frameBytes(settings), frameBytes({ ...settings, flags: ACK })]);
}

/** `:status 200` from the static table. */
export const STATUS_200 = Buffer.from([0x88]);
