import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type SecureContext } from 'node:tls';
import {
  ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { splitHostPort } from '#model/address/ip.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { ETCD } from '#model/settings/etcd.ts';
import type { Codec } from '#platform/grpc/service-definitions.ts';

/** Where etcd is, and how it is trusted. */
export type EtcdPlace = {
  /** `host:port` of each member that may be asked; at least one. */
  members: readonly string[];
  /** PEM texts; null: without TLS. cert and key null: etcd asks for none. */
  tls: { ca: string; cert: string | null; key: string | null } | null;
};

type Method<Request, Response> = { path: string; request: Codec<Request>; response: Codec<Response> };

/** What another member may answer better: this one cannot be reached, has no leader, or takes too long. */
const ANOTHER_MAY: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]);

/**
 * The members of an etcd. Calls and streams go to one of them for as long as it answers, then to the next.
 */
export class EtcdConnection {
  readonly #place: EtcdPlace;
  /** null: without TLS. */
  readonly #trust: SecureContext | null;
  readonly #clients = new Map<string, Client>();
  #at = 0;

  /** Errors: WEFT_ETCD_TLS when certificate or key cannot be read. */
  constructor(place: EtcdPlace) {
    this.#place = place;
    this.#trust = place.tls === null ? null : trustOf(place.tls);
  }

  /** `host:port` of the member that is asked now. */
  get member(): string {
    const { members } = this.#place;
    return members[this.#at % members.length] ?? '';
  }

  /** How many members there are. */
  get count(): number {
    return this.#place.members.length;
  }

  /** Asks another member from now on, unless somebody did so already. `from`: the one that failed. */
  moveOn(from: string): void {
    if (this.member === from) this.#at = (this.#at + 1) % this.#place.members.length;
  }

  /**
   * Asks one member after the other, until one answers. What it asks may have been done by one that did not answer, and is done
   * again: it must come to the same. Errors: WEFT_ETCD with the gRPC error as its cause.
   */
  async call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    for (let left = this.count; ; left--) {
      const { member } = this;
      try {
        return await this.#ask(member, method, request);
      } catch (error) {
        if (left <= 1 || !ANOTHER_MAY.has(codeOf(error) ?? status.OK)) throw etcdError(member, error);
        this.moveOn(member);
      }
    }
  }

  /** A stream to the member that is asked now. It ends by itself where the member has no leader; its errors are its user's. */
  stream<Request, Response>(method: Method<Request, Response>): ClientDuplexStream<Request, Response> {
    const metadata = new Metadata();
    // Else a member that is cut off from the others would go on telling nothing.
    metadata.set('hasleader', 'true');
    return this.#client(this.member).makeBidiStreamRequest(method.path, method.request.write, method.response.read, metadata);
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #ask<Request, Response>(
    member: string,
    { path, request, response }: Method<Request, Response>,
    message: Request,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: Response) => {
        if (error === null && answer !== undefined) resolve(answer);
        else reject(error ?? new Error('no response'));
      };
      const deadline = Date.now() + ETCD.callMsMax;
      this.#client(member).makeUnaryRequest(path, request.write, response.read, message, { deadline }, done);
    });
  }

  #client(member: string): Client {
    const known = this.#clients.get(member);
    if (known !== undefined) return known;
    const name = splitHostPort(member)?.host ?? member;
    const client = new Client(member, credentialsFor(name, this.#trust), {
      ...nameOptions(name),
      'grpc.max_receive_message_length': ETCD.receiveBytesMax,
      'grpc.enable_http_proxy': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': ETCD.backoffFirstMs,
      'grpc.max_reconnect_backoff_ms': ETCD.backoffMaxMs,
      'grpc.service_config_disable_resolution': 1,
    });
    this.#clients.set(member, client);
    return client;
  }
}

/** The gRPC status of an error; null when it has none. Also of one that `call` has thrown. */
export function codeOf(error: unknown): number | null {
  const cause = error instanceof WeftError ? error.cause : error;
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'number' ? cause.code : null;
}

/** What a failed call means to a person. */
export function etcdError(member: string, cause: unknown): WeftError {
  return new WeftError('WEFT_ETCD', `etcd at ${member} does not do what it is asked: ${messageOf(cause)}`, {
    cause,
    remedy:
      'see that most members of etcd run and reach one another (etcdctl endpoint health), and that the addresses and certificates of --store are right',
  });
}

/** A server name is sent even where a member is an address, which TLS does not allow as a server name. */
const NAME_FOR_ADDRESSES = 'etcd';

function nameOptions(name: string): ChannelOptions {
  return isIP(name) === 0 ? {} : { 'grpc.ssl_target_name_override': NAME_FOR_ADDRESSES };
}

/** The certificate of a member must carry the name or address by which it is dialled. */
function credentialsFor(name: string, trust: SecureContext | null): ChannelCredentials {
  if (trust === null) return ChannelCredentials.createInsecure();
  return ChannelCredentials.createFromSecureContext(trust, {
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  });
}

function trustOf({ ca, cert, key }: NonNullable<EtcdPlace['tls']>): SecureContext {
  try {
    const own = cert === null || key === null ? {} : { cert, key };
    return createSecureContext({ ca, ...own, minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw new WeftError('WEFT_ETCD_TLS', `the certificates for etcd cannot be used: ${messageOf(cause)}`, {
      cause,
      remedy: 'give PEM files of etcd with --store-ca, and where it asks for a certificate, --store-cert and --store-key',
    });
  }
}
