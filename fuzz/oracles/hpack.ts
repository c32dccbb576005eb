import { Http2Error } from '#protocol/http/v2/constants.ts';
import { HpackDecoder } from '#protocol/http/v2/hpack-decoder.ts';
import { HTTP2_TOKENS } from '../targets/http2.ts';
import type { Comparison, Outcome } from './comparison.ts';
import { MISSING, type ReadField, readByNghttp2 } from './nghttp2.ts';

/** Above what any input holds: what a list may hold is not what is compared. */
const LIST_BYTES_MAX = 1 << 24;

function readByUs(blocks: readonly Buffer[]): ReadField[][] | null {
  const decoder = new HpackDecoder(LIST_BYTES_MAX);
  try {
    return blocks.map((block) => (decoder.decode(block) ?? []).map(([name, value]) => [name, value]));
  } catch (error) {
    if (error instanceof Http2Error) return null;
    throw error;
  }
}

function compare(bytes: Buffer): Outcome {
  // Twice on one connection: the second time by the table that the first has left.
  const blocks = [bytes, bytes];
  const [ours, theirs] = [JSON.stringify(readByUs(blocks)), JSON.stringify(readByNghttp2(blocks))];
  if (ours !== theirs) throw new Error(`two readings: ${ours} and ${theirs}`);
  return ours === 'null' ? 'refused' : 'agreed';
}

/** Header blocks, beside nghttp2's decoder. */
export const hpackComparison: Comparison = { name: 'hpack', corpora: ['hpack'], tokens: HTTP2_TOKENS, missing: MISSING, compare };
