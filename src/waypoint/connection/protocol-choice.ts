import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { unreachable } from '#model/error.ts';
import type { AppProtocol } from '#model/mesh/service.ts';
import { type Sniffed, sniff } from '#protocol/http/sniff.ts';
import { readFirstBytes } from './first-bytes.ts';

/** What a connection is served as. */
export type Protocol = 'http1' | 'http2' | 'tcp';

/** What a port's declaration leaves open: which HTTP, anything, or nothing. */
export type Declared = 'http' | 'anything' | 'tcp';

/** What a Service port's protocol says. */
export function declaredBy(appProtocol: AppProtocol): Declared {
  switch (appProtocol) {
    case 'http11':
    case 'http2':
    case 'grpc':
      return 'http';
    case 'tcp':
    case 'tls':
      return 'tcp';
    case 'unknown':
      return 'anything';
    default:
      return unreachable(appProtocol);
  }
}

/** Who takes the stream over. */
type Choosing = {
  /** `early`: what was taken of the stream, where one piece of it did not suffice; it decides nothing by itself. */
  decided(protocol: Protocol | 'silent', early: Buffer | null): void;
  /** A mistake of ours while it was chosen, or while it was taken over. */
  mistaken(error: unknown): void;
};

/**
 * Reads from a stream until it is clear what it speaks; who takes it over reads what decided. On a declared HTTP port what is
 * not HTTP/2 is HTTP/1, so that nonsense gets a 400. `silent`: on an undeclared port nothing decisive came in time; it must
 * not be taken for TCP, or a client could pass by its routes by waiting.
 */
export function detectProtocol(stream: ByteStream, declared: Declared, clock: Clock, choosing: Choosing): void {
  const { decided, mistaken } = choosing;
  if (declared === 'tcp') {
    decideAtOnce(choosing);
    return;
  }
  readFirstBytes<Protocol>(stream, null, declared === 'anything' ? clock : null, {
    read: (all) => protocolOf(sniff(all), declared),
    ended: declared === 'http' ? 'http1' : 'tcp',
    said: decided,
    silent: (early) => decided('silent', early),
    mistaken,
  });
}

/** Nothing has to be read. */
function decideAtOnce({ decided, mistaken }: Choosing): void {
  try {
    decided('tcp', null);
  } catch (error) {
    mistaken(error);
  }
}

function protocolOf(sniffed: Sniffed, declared: Declared): Protocol | null {
  switch (sniffed) {
    case 'http1':
    case 'http2':
      return sniffed;
    case 'other':
      return declared === 'http' ? 'http1' : 'tcp';
    case 'undecided':
      return null;
    default:
      return unreachable(sniffed);
  }
}
