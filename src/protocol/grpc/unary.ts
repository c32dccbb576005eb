import type { HeaderBlock } from '#protocol/http/header-block.ts';

/** Fixed by gRPC: whether a message is compressed, and its length. */
const FRAME_BYTES = 5;
/** What the outcome of a call says when nobody said it. */
const UNKNOWN = 2;

/** The headers of a call with one message each way; the content-type is said by itself. */
export const CALL_HEADERS: readonly string[] = ['content-type', 'application/grpc', 'te', 'trailers'];

/** One message as it goes over the wire. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_BYTES);
  return frame;
}

/** The one message of a body; null: it holds none, several, or a compressed one, which was not asked for. */
export function onlyMessage(body: Buffer): Buffer | null {
  if (body.length < FRAME_BYTES || body[0] !== 0) return null;
  return body.readUInt32BE(1) === body.length - FRAME_BYTES ? body.subarray(FRAME_BYTES) : null;
}

/** How a call ended: the status is in the trailers, or in the head of a response that is nothing else. */
export function callStatus(head: HeaderBlock, trailers: HeaderBlock | null): { code: number; message: string } {
  const of = trailers?.get('grpc-status') != null ? trailers : head;
  const code = of.get('grpc-status');
  return { code: code === null || !/^\d{1,2}$/.test(code) ? UNKNOWN : Number(code), message: of.get('grpc-message') ?? '' };
}
