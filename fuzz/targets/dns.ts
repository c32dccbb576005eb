import { parseIp } from '#model/address/ip.ts';
import { createFrameReader } from '#protocol/dns/frame.ts';
import { decodeQuery } from '#protocol/dns/query.ts';
import { encodeAnswer, encodeFailure, fitReply } from '#protocol/dns/reply.ts';
import { checkReply } from '#protocol/dns/upstream-reply.ts';
import { HEADER_BYTES, MESSAGE_BYTES_MAX, RCODE } from '#protocol/dns/wire.ts';
import { type FuzzTarget, require, requireSame } from '../target.ts';

const RECORDS = { aliases: [], addresses: [parseIp('240.0.0.1'), parseIp('240.0.0.2')], ttlSeconds: 30 };

/** The messages of a TCP stream in pieces, as text; a broken stream says so and ends. */
function messagesOf(pieces: readonly Buffer[]): string[] {
  const reader = createFrameReader(MESSAGE_BYTES_MAX);
  const found: string[] = [];
  for (const piece of pieces) {
    const reading = reader.push(piece);
    if (reading.kind === 'broken') return [...found, 'broken'];
    found.push(...reading.messages.map((message) => message.toString('latin1')));
  }
  return found;
}

/** Queries, replies of upstream servers and the framing of TCP. */
export const dnsTarget: FuzzTarget = {
  name: 'dns',
  tokens: [
    '\0\0',
    '\0\x01',
    '\0\x1c',
    '\0\x29',
    '\xc0\x0c',
    '\x04cart\x04shop\x03svc\0',
    '\x3f',
    '\x40',
    '\0\0\x29\x10\0\0\0\0\0\0\0',
  ],
  check(bytes, cut) {
    const decoding = decodeQuery(bytes);
    if (decoding.kind === 'query') {
      const { echo } = decoding.query;
      const answer = encodeAnswer(echo, RECORDS, echo.udpBytesMax);
      require(answer.length <= echo.udpBytesMax, 'an answer fits what the client takes');
      require(checkReply(bytes, answer).kind === 'reply', 'our own answer answers the query');
      require(fitReply(echo, answer, echo.udpBytesMax).length <= echo.udpBytesMax, 'a fitted reply fits');
    } else if (decoding.kind === 'error') {
      require(encodeFailure(decoding.echo, RCODE.servFail).length >= HEADER_BYTES, 'a failure has a head');
    }
    if (cut >= HEADER_BYTES) checkReply(bytes.subarray(0, cut), bytes.subarray(cut));
    const whole = messagesOf([bytes]);
    const pieces = messagesOf([bytes.subarray(0, cut), bytes.subarray(cut)]);
    // A stream that breaks may have told complete messages of an earlier piece.
    if (whole.at(-1) === 'broken') require(pieces.at(-1) === 'broken', 'a broken stream is broken in pieces too');
    else requireSame(whole, pieces, 'pieces do not change the messages');
  },
};
