import type { Duplex } from 'node:stream';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { caughtBy } from '#model/effects/mishaps.ts';
import { unreachable } from '#model/error.ts';
import type { AppProtocol } from '#model/mesh/service.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { type Sniffed, sniff } from '#protocol/http/sniff.ts';

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
  decided(protocol: Protocol | 'silent', early: Buffer): void;
  /** A mistake of ours while it was chosen, or while it was taken over. */
  mistaken(error: unknown): void;
};

/**
 * Reads from a stream until it is clear what it speaks, then leaves it paused and hands over the bytes read.
 * On a declared HTTP port what is not HTTP/2 is HTTP/1, so that nonsense gets a 400. `silent`: on an undeclared port
 * nothing decisive came in time; it must not be taken for TCP, or a client could pass by its routes by waiting.
 */
export function detectProtocol(stream: Duplex, declared: Declared, clock: Clock, { decided, mistaken }: Choosing): void {
  let early: Buffer = Buffer.alloc(0);
  let cancel: Cancel = () => {};
  const decide = caughtBy(mistaken, (protocol: Protocol | 'silent'): void => {
    cancel();
    stream.pause();
    stream.off('data', onData);
    stream.off('end', onEnd);
    stream.off('close', cancel);
    decided(protocol, early);
  });
  const onData = caughtBy(mistaken, (chunk: Buffer): void => {
    early = early.length === 0 ? chunk : Buffer.concat([early, chunk]);
    const protocol = protocolOf(sniff(early), declared);
    if (protocol !== null) decide(protocol);
  });
  const onEnd = (): void => decide(declared === 'http' ? 'http1' : 'tcp');
  if (declared === 'tcp') {
    decide('tcp');
    return;
  }
  if (declared === 'anything') cancel = clock.after(WAYPOINT.silentClientMs, () => decide('silent'));
  stream.on('data', onData);
  stream.on('end', onEnd);
  stream.on('close', cancel);
  stream.resume();
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
