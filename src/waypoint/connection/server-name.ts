import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { readClientHello } from '#protocol/tls/client-hello.ts';
import { type FirstBytes, readFirstBytes } from './first-bytes.ts';

/** `name` null: it asks for none, or does not speak TLS. */
export type AskedName = { readonly name: string | null };

const NONE: AskedName = { name: null };

/** Reads a stream until it is clear which name a client of TLS asks for; `early` was taken of it before. */
export function readServerName(
  stream: ByteStream,
  early: Buffer | null,
  clock: Clock,
  naming: Pick<FirstBytes<AskedName>, 'said' | 'silent' | 'mistaken'>,
): void {
  readFirstBytes(stream, early, clock, { ...naming, read: nameIn, ended: NONE });
}

function nameIn(all: Buffer): AskedName | null {
  const hello = readClientHello(all);
  if (hello.kind === 'incomplete' && all.length < WAYPOINT.clientHelloBytesMax) return null;
  return hello.kind === 'hello' ? { name: hello.serverName } : NONE;
}
