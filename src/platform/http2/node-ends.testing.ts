import http2, { type Http2Stream } from 'node:http2';

/** Whether a stream was reset, or its connection lost, before both sides had ended it. */
export function isBroken(stream: Http2Stream): boolean {
  return stream.aborted || (stream.rstCode !== undefined && stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR);
}

/**
 * Tells whether the peer's half of a stream ended by END_STREAM, or not (yet). To be called as soon as the stream is known:
 * what came in the same read as its head has been pushed by then.
 *
 * RST_STREAM(NO_ERROR) ends the readable side of node:http2 just as END_STREAM does: 'end' is emitted, nothing says that the
 * message broke off. The two differ in their order only: a reset closes the stream, then ends what is read; END_STREAM ends
 * what is read first.
 */
export function watchEnd(stream: Http2Stream): () => boolean {
  const state: unknown = Reflect.get(stream, '_readableState');
  const pushed = typeof state === 'object' && state !== null && Reflect.get(state, 'ended') === true;
  let ended: boolean | null = pushed ? !stream.closed : null;
  const push = stream.push.bind(stream);
  stream.push = (chunk, encoding) => {
    if (chunk === null) ended ??= !stream.closed;
    return push(chunk, encoding);
  };
  return () => ended === true;
}
