import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { parseIp } from '#model/address/ip.ts';
import type { Dialled } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { type Log, SILENT_LOG } from '#model/effects/log.ts';
import { type Mishaps, SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { Doorkeeper, type DoorOptions } from '#model/guard/doorkeeper.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { TunnelRequest, TunnelTarget } from '#model/path/reach.ts';
import type { CloseCause } from '#model/telemetry/close-cause.ts';
import { NodeIo, notOpen } from '#platform/io/node/node-io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { HBONE_CIPHER_SUITES } from '#protocol/hbone/settings.ts';
import type { InboundTunnel, TunnelOutcome, TunnelPool } from '#protocol/hbone/transport.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import { createClientPool } from './client-pool.ts';
import { createHboneServer, type HboneServer } from './server.ts';
import { createTestCa, type TestCa } from './test-ca.testing.ts';

/** The identity of most test clients. */
export const WEB = 'spiffe://td.local/ns/shop/sa/web';
/** The identity of most test servers. */
export const CART = 'spiffe://td.local/ns/shop/sa/cart';

/** A fresh CA with credentials of `WEB` and `CART`. */
export async function createTestIdentities(): Promise<{ ca: TestCa; web: Credentials; cart: Credentials }> {
  const ca = await createTestCa();
  const [web, cart] = await Promise.all([ca.issue(WEB), ca.issue(CART)]);
  return { ca, web, cart };
}

/** A CONNECT as an agent sends it. */
export const REQUEST: TunnelRequest = {
  authority: '127.0.0.1:8080',
  client: '127.0.0.1:40000',
  serviceHost: null,
  baggage: 'k8s.namespace.name=shop,service.name=web',
  traceparent: '00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00',
};

/** Collects what is logged, as `level: message` with the fields. */
export function recordingLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) => {
    const parts = Object.values(fields).map((value: unknown) => (value instanceof Error ? value.message : String(value)));
    lines.push(`${level}: ${message} ${parts.join(' ')}`);
  };
  const log: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error'), child: () => log };
  return { log, lines };
}

/** A server that listens; `accepted` are its TCP sockets, oldest first. */
export type TestServer = { port: number; server: HboneServer; accepted: net.Socket[] };

/** As of the real server, with defaults. */
export type TestServerOptions = {
  credentials: () => Promise<Credentials>;
  onTunnel(tunnel: InboundTunnel): void | Promise<void>;
  onRefused?(cause: CloseCause): void;
  clock?: Clock;
  log?: Log;
  mishaps?: Mishaps;
  trustDomain?: string;
  /** How its doorkeeper differs from that of a process. */
  door?: Partial<DoorOptions>;
};

/** An HBONE server on a loopback port, closed after the test. */
export async function startTestServer(t: TestContext, options: TestServerOptions): Promise<TestServer> {
  const { clock = new SteppedClock() } = options;
  const door = new Doorkeeper({ limits: DOOR_LIMITS, clock, isKnown: () => false, ...options.door });
  const io = new NodeIo(clock, SILENT_MISHAPS);
  const server = createHboneServer({
    io,
    trustDomain: 'td.local',
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
    ...options,
    clock,
    door,
  });
  const accepted: net.Socket[] = [];
  const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    accepted.push(socket);
    server.handle(io.adopt(socket));
  });
  const port = await listenOnLoopback(t, listener);
  t.after(() => server.close());
  return { port, server, accepted };
}

/** Starts servers of one identity; they echo unless told otherwise. */
export function serverOf(identity: Credentials) {
  return (t: TestContext, onTunnel: TestServerOptions['onTunnel'] = echo, options: Partial<TestServerOptions> = {}) =>
    startTestServer(t, { credentials: async () => identity, onTunnel, ...options });
}

/** Listens until the end of the test; the port that was chosen. */
export async function listenOnLoopback(t: TestContext, listener: net.Server): Promise<number> {
  t.after(() => listener.close());
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A connected, half-open capable TCP socket. */
export async function dialLoopback(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** A pool, the TCP sockets it has dialled, and targets on loopback. */
export type TestClient = {
  pool: TunnelPool;
  dialled: net.Socket[];
  target(port: number, overrides?: Partial<TunnelTarget>): TunnelTarget;
};

/** Who the client is and whom it expects. */
export type TestClientOptions = {
  source: Credentials;
  peer: Credentials;
  credentials?: (identity: Identity) => Promise<Credentials>;
  /** What is at hand; nothing by default. */
  current?: (identity: Identity) => Credentials | null;
  clock?: Clock;
  /** Loopback by default. */
  dial?: (port: number) => Promise<net.Socket>;
};

/** A pool that dials loopback, closed after the test; its targets expect `peer`. */
export function startTestClient(t: TestContext, options: TestClientOptions): TestClient {
  const { source, peer, clock = new SteppedClock(), credentials = async () => source, dial: dialPort = dialLoopback } = options;
  const { current = () => null } = options;
  const dialled: net.Socket[] = [];
  const io = new NodeIo(clock, SILENT_MISHAPS);
  const dial = async (_address: string, port: number): Promise<Dialled> => {
    try {
      const socket = await dialPort(port);
      dialled.push(socket);
      return { kind: 'open', stream: io.adopt(socket) };
    } catch (error) {
      return notOpen(error);
    }
  };
  const pool = createClientPool({
    io,
    dial,
    credentials,
    current,
    clock,
    random: () => 0,
    log: SILENT_LOG,
    mishaps: SILENT_MISHAPS,
  });
  t.after(() => pool.close(true));
  const target = (port: number, overrides: Partial<TunnelTarget> = {}): TunnelTarget => ({
    source: source.identity,
    peers: [peer.identity],
    address: parseIp('127.0.0.1'),
    port,
    ...overrides,
  });
  return { pool, dialled, target };
}

/** What both sides of HBONE demand of TLS, for clients and servers that are not ours. */
export function tlsOptions(credentials: Credentials): tls.SecureContextOptions {
  return {
    key: credentials.privateKeyPem,
    cert: credentials.chainPem,
    ca: [...credentials.rootsPem],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: HBONE_CIPHER_SUITES.join(':'),
  };
}

/** A TLS client of our server without HTTP/2 of its own. */
export function connectTls(
  t: TestContext,
  port: number,
  credentials: Credentials,
  options: tls.ConnectionOptions = {},
): tls.TLSSocket {
  const base = { port, host: '127.0.0.1', ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  const socket = tls.connect({ ...base, ...tlsOptions(credentials), ...options });
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  return socket;
}

/** A node:http2 client of our server. */
export function connectHttp2(
  t: TestContext,
  port: number,
  credentials: Credentials,
  settings: http2.Settings = {},
): http2.ClientHttp2Session {
  const session = http2.connect('https://peer', { settings, createConnection: () => connectTls(t, port, credentials) });
  t.after(() => session.destroy());
  session.on('error', () => {});
  return session;
}

/** A CONNECT by node:http2. */
export function connectStream(session: http2.ClientHttp2Session, authority = '127.0.0.1:8080'): http2.ClientHttp2Stream {
  return session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false });
}

/** Status and headers of a response; `ended` when END_STREAM came with them. */
export type Answer = { status: number; ended: boolean; headers: http2.IncomingHttpHeaders };

/** The response to a request by node:http2. */
export function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('response', (headers, flags) => resolve({ status: Number(headers[':status']), ended: (flags & 1) === 1, headers }));
  });
}

/** The stream of an open tunnel. Throws when it is not open. */
export function opened(outcome: TunnelOutcome): Duplex {
  if (outcome.kind === 'open') return asDuplex(outcome.stream);
  throw outcome.kind === 'failed' ? outcome.error : new Error(`refused with ${outcome.status}`);
}

/** An owner of tunnels that sends back what it receives. */
export function echo(tunnel: InboundTunnel): void {
  const stream = asDuplex(tunnel.accept('service.name=cart'));
  stream.pipe(stream);
}

/** Everything that a stream still brings. */
export async function readAll(stream: Duplex): Promise<Buffer> {
  // Not by iteration: that would destroy the stream at its end, and with it the other direction.
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

/** Lets everything that is under way on loopback happen, until `done`. */
export async function until(done: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (done()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never happened: ${what}`);
}
