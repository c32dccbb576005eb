import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { tryParseIp } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { INSTANCE_HEADER } from '#platform/grpc/control-channel.ts';
import { type Front, openFront } from '#platform/grpc/front.ts';
import { CREATE_CERTIFICATE, DELTA_STREAM, methodOf, RAW, SYNC_WORKLOADS } from '#platform/grpc/service-definitions.ts';
import { messageWriter } from '#platform/grpc/shared-messages.ts';
import { codeOf } from '#platform/grpc/status-codes.ts';
import type { IstioCertificateRequest, IstioCertificateResponse } from '#proto/ca_pb.js';
import type { DeltaDiscoveryRequest } from '#proto/discovery_pb.js';
import type { SyncWorkloadsRequest, SyncWorkloadsResponse } from '#proto/weft_pb.js';
import { asRpcError, RpcError } from '#protocol/xds/resource-fault.ts';
import type { DiscoveryListener, DiscoveryStream } from '#protocol/xds/server-session.ts';

/** Where a call comes from: the address it was received from, and the word that the calling process has for itself. */
export type CallOrigin = { ip: string; instance: string };

/** What the control plane does with the calls it gets. Caller: what a token proves. */
export type ControlHandlers<Caller> = {
  /** Errors: RpcError unauthenticated. Asked before any message of a call is read. */
  authenticate(authorizationHeader: string | undefined, origin: CallOrigin): Promise<Caller>;
  discover(caller: Caller, stream: DiscoveryStream): DiscoveryListener;
  createCertificate(caller: Caller, request: IstioCertificateRequest): Promise<IstioCertificateResponse>;
  syncWorkloads(caller: Caller, request: SyncWorkloadsRequest): Promise<SyncWorkloadsResponse>;
};

/** PEM of the server's certificate, leaf first, and its key. */
export type ServedCertificate = { chainPem: string; privateKeyPem: string };

/** A server that listens. */
export type ControlServer = {
  /** `host:port` it listens on; the port is real even when 0 was asked for. */
  address: string;
  /** New connections are served with `certificate`; open ones stay. */
  replaceCertificate(certificate: ServedCertificate): void;
  /** Stops listening; calls still open after `graceMs` are cut. */
  close(graceMs: number): Promise<void>;
};

/** Where to listen, with which certificate, and what answers. */
export type ServeOptions<Caller> = {
  host: string;
  port: number;
  certificate: ServedCertificate;
  handlers: ControlHandlers<Caller>;
  /** Bounds those who have shown no token. */
  door: Doorkeeper;
  log: Log;
  mishaps: Mishaps;
};

/** Serves discovery, certificates and registration on one TLS port, behind a front with deadlines. Errors: WEFT_LISTEN. */
export async function serveControl<Caller>({
  host,
  port,
  certificate,
  handlers,
  door,
  log,
  mishaps,
}: ServeOptions<Caller>): Promise<ControlServer> {
  // Who calls is found out before the handler runs, and is handed to it beside the call: gRPC offers no place for it.
  const callers = new WeakMap<Metadata, Caller>();
  const server = new Server({
    // gRPC's own 4 MiB is less than a node of some ten thousand resources reports when it reconnects.
    'grpc.max_receive_message_length': CONTROL.receiveBytesMax,
    'grpc.keepalive_time_ms': CONTROL.keepaliveMs,
    'grpc.keepalive_timeout_ms': CONTROL.keepaliveTimeoutMs,
    'grpc.max_concurrent_streams': CONTROL.streamsMax,
    interceptors: [
      authenticating(
        handlers,
        callers,
        { log, mishaps },
        { proved: (peer) => front.proved(peer), refused: (peer) => front.refused(peer) },
      ),
    ],
  });
  addMethods(
    server,
    handlers,
    (metadata) => {
      const caller = callers.get(metadata);
      if (caller === undefined) throw new RpcError('unauthenticated', 'authentication failed');
      return caller;
    },
    mishaps,
  );
  const credentials = new ReplaceableCredentials(certificate);
  const injector = server.createConnectionInjector(credentials);
  const front = await openFront({ host, port, door, log, serve: (socket) => injector.injectConnection(socket) });
  return {
    address: formatHost(host, front.port),
    replaceCertificate: (next) => credentials.replace(next),
    async close(graceMs) {
      front.close();
      await shutDown(server, graceMs);
    },
  };
}

/** Checks the token before a message is read, so that strangers cannot make the server buffer anything. */
function authenticating<Caller>(
  handlers: ControlHandlers<Caller>,
  callers: WeakMap<Metadata, Caller>,
  { log, mishaps }: Pick<ServeOptions<Caller>, 'log' | 'mishaps'>,
  front: Pick<Front, 'proved' | 'refused'>,
): ServerInterceptor {
  return (method, call) => {
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const [header] = metadata.get('authorization');
        const [instance = ''] = metadata.get(INSTANCE_HEADER);
        handlers
          .authenticate(header?.toString(), { ip: ipOf(call.getPeer()), instance: instance.toString() })
          .then(
            (caller) => {
              callers.set(metadata, caller);
              front.proved(call.getPeer());
              next(metadata);
            },
            (error: unknown) => {
              const { status, message, cause } = asRpcError(error);
              log.warn({ peer: call.getPeer(), method: method.path, err: cause ?? error }, 'call refused');
              // What the caller hears is no more than the status: the cause may tell of tokens.
              call.sendStatus({ code: codeOf(status), details: message });
              if (status === 'unauthenticated') front.refused(call.getPeer());
            },
          )
          .catch((error: unknown) => mishaps.report('call', error));
      })
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}

/** gRPC's `<address>:<port>`, without brackets around an IPv6 address. */
function ipOf(peer: string): string {
  return tryParseIp(peer.slice(0, peer.lastIndexOf(':')).replace(/^\[|\]$/g, '')) ?? peer;
}

function addMethods<Caller>(
  server: Server,
  handlers: ControlHandlers<Caller>,
  callerOf: (metadata: Metadata) => Caller,
  mishaps: Mishaps,
): void {
  const methods = {
    // Raw answers: a resource is encoded once and sent to thousands of clients.
    discover: methodOf({ ...DELTA_STREAM, response: RAW }, true),
    createCertificate: methodOf(CREATE_CERTIFICATE, false),
    syncWorkloads: methodOf(SYNC_WORKLOADS, false),
  };
  server.addService(methods, {
    discover: (call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>) =>
      serveStream(call, (stream) => handlers.discover(callerOf(call.metadata), stream), mishaps),
    createCertificate: (
      call: ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>,
      reply: sendUnaryData<IstioCertificateResponse>,
    ) => answer(reply, mishaps, () => handlers.createCertificate(callerOf(call.metadata), call.request)),
    syncWorkloads: (
      call: ServerUnaryCall<SyncWorkloadsRequest, SyncWorkloadsResponse>,
      reply: sendUnaryData<SyncWorkloadsResponse>,
    ) => answer(reply, mishaps, () => handlers.syncWorkloads(callerOf(call.metadata), call.request)),
  });
}

function serveStream(
  call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>,
  open: (stream: DiscoveryStream) => DiscoveryListener,
  mishaps: Mishaps,
): void {
  // gRPC tells of one end in up to five events, in no order that it promises.
  let over = false;
  let listener: DiscoveryListener | null = null;
  const write = messageWriter(call);
  // One client's message must not end what serves all others: its stream ends, and it comes again with what it holds.
  const guarded = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      mishaps.report('call', error, { peer: call.getPeer() });
      call.emit('error', { code: codeOf('internal'), details: 'internal error' });
    }
  };
  const close = () => {
    if (over) return;
    over = true;
    guarded(() => listener?.closed());
  };
  call.on('error', close); // first: what fails to open ends by it
  guarded(() => {
    listener = open({
      peer: call.getPeer(),
      send(parts) {
        write(parts, () => guarded(() => listener?.drained()));
        return false;
      },
      end: ({ status, message }) => call.emit('error', { code: codeOf(status), details: message }),
    });
  });
  call.on('data', (request: DeltaDiscoveryRequest) => guarded(() => listener?.receive(request)));
  // A client that ends its half has left: ours is ended too.
  call.on('end', () => {
    close();
    call.end();
  });
  call.on('cancelled', close);
  call.on('close', close);
  call.on('finish', close);
}

function answer<Response>(reply: sendUnaryData<Response>, mishaps: Mishaps, run: () => Promise<Response>): void {
  Promise.resolve()
    .then(run)
    .then(
      (response) => reply(null, response),
      (error: unknown) => {
        const { status, message, cause } = asRpcError(error);
        if (status === 'internal') mishaps.report('call', cause);
        reply({ code: codeOf(status), details: message });
      },
    )
    .catch((error: unknown) => mishaps.report('call', error));
}

/** TLS credentials whose certificate can be replaced while the server runs. */
class ReplaceableCredentials extends ServerCredentials {
  constructor(certificate: ServedCertificate) {
    super({ requestCert: false }, contextOf(certificate));
  }

  replace(certificate: ServedCertificate): void {
    this.updateSecureContextOptions(contextOf(certificate));
  }

  // gRPC asks this before it reuses a listener; a replaced certificate is still the same credentials.
  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ chainPem, privateKeyPem }: ServedCertificate): { cert: string; key: string } {
  return { cert: chainPem, key: privateKeyPem };
}

async function shutDown(server: Server, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    // Streams of discovery never end by themselves: after the grace they are cut.
    const timer = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function formatHost(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
