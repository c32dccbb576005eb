/** Frames of WebSocket (RFC 6455 5.2) with payloads of less than 64 KiB: whole messages, and a close. */
export type Frame = { readonly opcode: number; readonly payload: Buffer };

export const OPCODE = { binary: 2, close: 8 } as const;
const MASK = Buffer.from('37fa213d', 'hex');

/** `masked`: as clients send it. */
export function frameBytes({ opcode, payload }: Frame, masked: boolean): Buffer {
  const length = payload.length;
  const head = Buffer.alloc(length < 126 ? 2 : 4);
  head[0] = 0x80 | opcode;
  head[1] = (masked ? 0x80 : 0) | (length < 126 ? length : 126);
  if (length >= 126) head.writeUInt16BE(length, 2);
  if (!masked) return Buffer.concat([head, payload]);
  return Buffer.concat([head, MASK, unmasked(payload, MASK)]);
}

/** Takes the frames from bytes as they come. */
export class FrameReader {
  #kept = Buffer.alloc(0);

  take(bytes: Buffer): Frame[] {
    this.#kept = Buffer.concat([this.#kept, bytes]);
    const frames: Frame[] = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): Frame | null {
    const [first, second] = this.#kept;
    if (first === undefined || second === undefined) return null;
    const isMasked = second >= 0x80;
    let at = (second & 0x7f) === 126 ? 4 : 2;
    if (this.#kept.length < at) return null;
    const length = at === 4 ? this.#kept.readUInt16BE(2) : second & 0x7f;
    const mask = isMasked ? this.#kept.subarray(at, at + 4) : null;
    at += mask?.length ?? 0;
    if (this.#kept.length < at + length) return null;
    const payload = Buffer.from(this.#kept.subarray(at, at + length));
    this.#kept = this.#kept.subarray(at + length);
    return { opcode: first & 0x0f, payload: mask === null ? payload : unmasked(payload, mask) };
  }
}

function unmasked(payload: Buffer, mask: Buffer): Buffer {
  return Buffer.from(payload.map((byte, at) => byte ^ (mask[at & 3] ?? 0)));
}
