import type { Duplex } from 'node:stream';
import { parseIp } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { NodeStream } from './node-stream.ts';

/** A stream of Node.js, such as one end of a `duplexPair`, as one of ours. */
export function asStream(stream: Duplex): ByteStream {
  const nowhere = { ip: parseIp('127.0.0.1'), port: 1 };
  return new NodeStream(stream, { remote: nowhere, local: nowhere }, SILENT_MISHAPS);
}
