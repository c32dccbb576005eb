import http2, { type Http2Stream } from 'node:http2';

/** Whether a stream was reset, or its connection lost, before both sides had ended it. */
export function isBroken(stream: Http2Stream): boolean {
  return stream.aborted || (stream.rstCode !== undefined && stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR);
}
