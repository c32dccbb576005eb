import { FLAG, HEADER_BYTES, OPCODE_MASK, RCODE_MASK, spanQuestion } from '#protocol/dns/wire.ts';

/** Whether a message is the reply that is waited for. */
export type ReplyCheck =
  | { kind: 'reply'; truncated: boolean; rcode: number }
  /** Not the answer to this query: late, forged or broken. */
  | { kind: 'mismatch'; why: 'too short' | 'not a response' | 'other id' | 'other opcode' | 'other question' };

/**
 * Whether `reply` answers `query` (which was sent as it is): same id, opcode and question, in any letter case.
 * A failure may come without its question, as some servers send it. Source: RFC 5452 section 9.
 */
export function checkReply(query: Buffer, reply: Buffer): ReplyCheck {
  if (reply.length < HEADER_BYTES) return { kind: 'mismatch', why: 'too short' };
  const flags = reply.readUInt16BE(2);
  if ((flags & FLAG.response) === 0) return { kind: 'mismatch', why: 'not a response' };
  if (reply.readUInt16BE(0) !== query.readUInt16BE(0)) return { kind: 'mismatch', why: 'other id' };
  if (((flags ^ query.readUInt16BE(2)) & OPCODE_MASK) !== 0) return { kind: 'mismatch', why: 'other opcode' };
  const rcode = flags & RCODE_MASK;
  const bareFailure = rcode !== 0 && reply.readUInt16BE(4) === 0;
  if (!bareFailure && !sameQuestion(query, reply)) return { kind: 'mismatch', why: 'other question' };
  return { kind: 'reply', truncated: (flags & FLAG.truncated) !== 0, rcode };
}

/** A copy of `message` with another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

function sameQuestion(query: Buffer, reply: Buffer): boolean {
  const asked = spanQuestion(query);
  const answered = reply.readUInt16BE(4) === 1 ? spanQuestion(reply) : null;
  if (asked === null || answered === null || asked.endOffset !== answered.endOffset) return false;
  const nameEnd = asked.endOffset - 4;
  for (let at = HEADER_BYTES; at < asked.endOffset; at++) {
    const [a = 0, b = 0] = [query[at], reply[at]];
    if (a !== b && (at >= nameEnd || lowered(a) !== lowered(b))) return false;
  }
  return true;
}

function lowered(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
