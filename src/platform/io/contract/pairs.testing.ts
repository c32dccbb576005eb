import assert from 'node:assert/strict';
import { parseIp } from '#model/address/ip.ts';
import type { ByteStream, Endpoint } from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { bind, errno, errnoName, setsockopt, socket } from '#platform/ffi/libc.ts';
import { encodeSockaddr } from '#platform/ffi/sockaddr.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import type { Io, Listener, TlsContext } from '#platform/io/io.ts';
import type { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { End, type Patience, until, wake } from './end.testing.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const STREAM_NONBLOCK_CLOEXEC = 0o2004001;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** No test waits so long unless it fails. */
const PATIENCE_MS = 20_000;
const PATIENCE: Patience = { ms: PATIENCE_MS };

/** An Io under test, with the time it was given and what it reports. */
export type Subject = {
  readonly io: Io;
  readonly clock: SteppedClock;
  readonly mishaps: Mishaps & { readonly errors: unknown[] };
};

/** Keeps what is reported. */
export function keptMishaps(): Subject['mishaps'] {
  const errors: unknown[] = [];
  return { errors, report: (_entry, error) => void errors.push(error), counts: () => new Map() };
}

/** Makes connected streams, whatever they are made of: the contract is one. */
export type PairMaker = {
  readonly name: string;
  readonly mishaps: Subject['mishaps'];
  readonly patience: Patience;
  /** It takes a reset for an end now and then, and nothing can be done about it. */
  readonly mistakesResets?: boolean;
  /** The one that dialled, and the one that was accepted. */
  pair(): Promise<readonly [ByteStream, ByteStream]>;
  close(): void;
};

/** A pair with what observes it. */
export type Ends = { readonly a: End; readonly b: End };

let seeds = 1;

/** A pair of ends; `b` reads unless `unread`. */
export async function endsOf(maker: PairMaker, unread: 'unread' | 'read' = 'read'): Promise<Ends> {
  const [first, second] = await maker.pair();
  seeds += 2;
  const seed = seeds;
  const a = new End('a', first, seed * 101, seed * 211);
  const b = new End('b', second, seed * 211, seed * 101);
  if (unread === 'read') {
    a.read();
    b.read();
  }
  return { a, b };
}

/** An unconnected TCP descriptor. */
export function tcpSocket(family: 4 | 6 = 4): number {
  const fd = socket(family === 4 ? AF_INET : AF_INET6, STREAM_NONBLOCK_CLOEXEC, 0);
  assert.ok(fd >= 0, `socket: ${errnoName(errno())}`);
  return fd;
}

/** A descriptor bound to a free port of every address, IPv4 included. */
export function boundSocket(): number {
  const fd = tcpSocket(6);
  const off = Buffer.alloc(4);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, off, off.length);
  const address = encodeSockaddr(parseIp('::'), 0);
  assert.equal(bind(fd, address, address.length), 0, 'bind');
  return fd;
}

/** Plain TCP over loopback. Its addresses take turns, lest the ports of one be used up by connections that wait for their end. */
export function tcpPairs({ io, mishaps }: Subject, patience: Patience = PATIENCE): PairMaker & { readonly listener: Listener } {
  /** By both ends: to another address the same port may be dialled from once more. */
  const accepted = new Map<string, ByteStream>();
  const listener = io.listen(boundSocket(), (stream) => {
    accepted.set(`${stream.local.ip} ${stream.remote.port}`, stream);
    wake();
  });
  let dialled = 0;
  return {
    name: 'TCP',
    mishaps,
    listener,
    patience,
    async pair() {
      const host = dialled++ % 60_000;
      const to: Endpoint = { ip: parseIp(`127.1.${host >> 8}.${host & 0xff || 1}`), port: listener.port };
      const outcome = await io.connect(tcpSocket(), to, PATIENCE_MS);
      assert.ok(outcome.kind === 'open', `dialling: ${outcome.kind}`);
      const key = `${to.ip} ${outcome.stream.local.port}`;
      await until(() => accepted.has(key), 'the accepted one', patience);
      const other = accepted.get(key);
      accepted.delete(key);
      assert.ok(other);
      return [outcome.stream, other];
    },
    close() {
      listener.close();
      for (const stream of accepted.values()) stream.reset();
    },
  };
}

/** Both contexts of a mesh with one root. */
export async function tlsContexts(io: Io): Promise<{ client: TlsContext; server: TlsContext; close(): void }> {
  const ca = await createTestCa();
  const make = async (role: 'client' | 'server') => {
    const { chainPem: chain, privateKeyPem: key } = await ca.issue(`spiffe://mesh/ns/x/sa/${role}`);
    return io.tlsContext({ role, chain, key, roots: ca.rootPem, alpn: 'h2' });
  };
  const [client, server] = [await make('client'), await make('server')];
  return {
    client,
    server,
    close() {
      client.close();
      server.close();
    },
  };
}

/** TLS over that. */
export async function tlsPairs(subject: Subject, patience: Patience = PATIENCE): Promise<PairMaker> {
  const below = tcpPairs(subject, patience);
  const contexts = await tlsContexts(subject.io);
  return {
    ...below,
    name: 'TLS',
    async pair() {
      const [a, b] = await below.pair();
      const [client, server] = await Promise.all([
        subject.io.secure(a, contexts.client, PATIENCE_MS),
        subject.io.secure(b, contexts.server, PATIENCE_MS),
      ]);
      assert.ok(client.kind === 'open' && server.kind === 'open', `handshake: ${client.kind}, ${server.kind}`);
      return [client.stream, server.stream];
    },
    close() {
      below.close();
      contexts.close();
    },
  };
}
