import type { Duplex } from 'node:stream';
import type { ClientConnection, ClientOwner, RequestHandler, ServerConnection } from '#protocol/http/message.ts';

/** HTTP/2 with prior knowledge over any byte stream. An effect, so that the codec behind it can change. */
export type Http2Engine = {
  /** Takes over a stream whose next bytes are the client preface. */
  accept(stream: Duplex, handler: RequestHandler): ServerConnection;
  /** Starts a client connection on a fresh stream. */
  connect(stream: Duplex, owner: ClientOwner): ClientConnection;
};
