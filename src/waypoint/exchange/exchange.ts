import type { Authenticated } from '#model/authentication/judge.ts';
import { claimTexts } from '#model/authentication/token.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { questionsAbout } from '#model/policy/custom.ts';
import { type DryRunVerdict, decideL7, dryRunL7, type PolicyVerdict } from '#model/policy/l7.ts';
import type { HttpFacts } from '#model/policy/l7-fields.ts';
import type { BackendEdits } from '#model/routing/backends.ts';
import type { RoutedRequest, RouteRule } from '#model/routing/candidate.ts';
import type { Subset } from '#model/routing/subsets.ts';
import type { ResponseFlags, RetryFlag } from '#model/telemetry/close-cause.ts';
import { type CompiledRules, DEFAULT_RULES } from '#model/telemetry/compiled-rules.ts';
import { MessageCounter } from '#protocol/grpc/message-counter.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type { RequestHead, ResponseHead, ServerStream, WireBytes } from '#protocol/http/message.ts';
import { type ConnectionFacts, policyFacts } from '#waypoint/connection/connection-facts.ts';
import { policiesFor } from '#waypoint/connection/destination.ts';
import type { Attempt } from '#waypoint/exchange/attempt.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { Slotted } from '#waypoint/state/slots.ts';
import type { BoundService, Snapshot } from '#waypoint/state/snapshot.ts';

/** Where the request goes: a port of a service, or one workload. */
export type ExchangeTarget =
  | {
      readonly kind: 'service';
      readonly service: ServiceKey;
      readonly port: number;
      readonly subset: Subset | null;
      readonly edits: BackendEdits | null;
    }
  | { readonly kind: 'workload' };

/** Where a session leads. */
export type Pinned = { readonly target: ExchangeTarget; readonly endpoint: UpstreamEndpoint };

/**
 * One request and its response: what is known of it, filled in as it passes the stages. It is also what policies and
 * routes look at. What a single stage needs to remember lies in a slot of that stage, not in a field here.
 */
export class Exchange implements HttpFacts, RoutedRequest, Slotted {
  slots: unknown[] | null = null;
  readonly connection: ConnectionFacts;
  readonly request: RequestHead;
  readonly stream: ServerStream;
  /** Of this request: by the end of its response, that of the stream may be of the next one. */
  readonly wire: WireBytes;
  readonly snapshot: Snapshot;
  /** What the snapshot says of the service that was dialled; null when a workload was, or the service is not bound. */
  readonly bound: BoundService | null;
  readonly startedMs: number;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** As sent upstream: a route may rewrite it. Policies see the client's own through `request`. */
  authority: string;
  /** Path and query as sent upstream; `path` and `query` stay the client's. */
  upstreamTarget: string;
  /** gRPC gets its refusals as trailers-only responses. */
  readonly isGrpc: boolean;
  requestId = '';
  /** By a token that was proved; null: the request brought none. */
  authenticated: Authenticated | null = null;
  /** Names of the external authorizers that were asked about it. */
  askedOf: readonly string[] = [];
  /** What of the query goes upstream. */
  upstreamQuery: string;

  // Decisions: which rule allowed or denied it, which rule routes it, and where to.
  verdict: PolicyVerdict | null = null;
  route: RouteRule | null = null;
  target: ExchangeTarget | null = null;
  /** Where its session leads, for the first try; null: anywhere. */
  pinned: Pinned | null = null;
  /** The try under way, or the last one; null: none was made. */
  attempt: Attempt | null = null;

  // Outcome.
  status = 0;
  flag: ResponseFlags = '-';
  /** Why the last try that failed was not followed by another one; null: none failed, or it could not have been. */
  retryFlag: RetryFlag | null = null;
  details = '';
  bytesReceived = 0;
  bytesSent = 0;
  /** When the request was complete, and when the response began; 0: not yet. */
  requestEndedMs = 0;
  respondedMs = 0;
  grpcStatus: string | null = null;
  /** Of gRPC: what the client has sent, and the server; null: it is none, or has not answered as one. */
  readonly requestMessages: MessageCounter | null;
  responseMessages: MessageCounter | null = null;
  /** Nothing may touch it any more. */
  over = false;

  constructor(connection: ConnectionFacts, request: RequestHead, stream: ServerStream, snapshot: Snapshot, nowMs: number) {
    this.connection = connection;
    this.request = request;
    this.stream = stream;
    this.wire = stream.wire;
    this.snapshot = snapshot;
    const { destination } = connection;
    this.bound = destination.kind === 'service' ? (snapshot.services.get(destination.key) ?? null) : null;
    this.startedMs = nowMs;
    this.method = request.method;
    const question = request.target.indexOf('?');
    this.path = question < 0 ? request.target : request.target.slice(0, question);
    this.query = question < 0 ? '' : request.target.slice(question + 1);
    this.upstreamQuery = this.query;
    this.authority = request.authority;
    this.upstreamTarget = request.target;
    this.isGrpc = isGrpcType(request.headers);
    this.requestMessages = this.isGrpc ? new MessageCounter() : null;
  }

  get scheme(): 'http' | 'https' {
    return this.request.headers.get('x-forwarded-proto') === 'https' ? 'https' : 'http';
  }

  /** What is told of it. */
  get telemetry(): CompiledRules {
    return this.connection.destination.kind === 'workload' ? this.snapshot.telemetry : (this.bound?.telemetry ?? DEFAULT_RULES);
  }

  get clientAuthority(): string {
    return this.request.authority;
  }

  get port(): number {
    return this.connection.destination.port;
  }

  get clientNamespace(): string | null {
    return this.connection.client.identity?.namespace ?? null;
  }

  claimValues(path: readonly string[]): string[] {
    const who = this.authenticated;
    return who === null ? [] : claimTexts(who.claims, path, who.spaceDelimitedClaims);
  }

  headerValues(name: string): string[] {
    return this.request.headers.values(name);
  }
}

/** The head as it goes upstream. */
export function upstreamHead({ request, authority, upstreamTarget }: Exchange): RequestHead {
  if (authority === request.authority && upstreamTarget === request.target) return request;
  return { ...request, authority, target: upstreamTarget };
}

/** What the policies of `snapshot` say of a request; null when its service is not bound to this waypoint. */
export function authorizeExchange(exchange: Exchange, snapshot: Snapshot): PolicyVerdict | null {
  const { connection } = exchange;
  const policies = policiesFor(connection.destination, snapshot);
  return policies === null ? null : decideL7(policies, policyFacts(connection, exchange));
}

/**
 * Whether a request under way may go on by another configuration. Of a service that has left the waypoint, what its policies allowed
 * is answered still: nobody else can. Whom it was not asked of that now decides about it has not let it pass.
 */
export function remainsAllowed(exchange: Exchange, snapshot: Snapshot): boolean {
  const { connection, askedOf } = exchange;
  const policies = policiesFor(connection.destination, snapshot);
  if (policies === null) return true;
  const facts = policyFacts(connection, exchange);
  if (decideL7(policies, facts).kind !== 'allow') return false;
  if (policies.custom.length === 0 || policies === policiesFor(connection.destination, exchange.snapshot)) return true;
  return questionsAbout(policies.custom, facts).every(({ authorizer, waits }) => !waits || askedOf.includes(authorizer.name));
}

/** What the policies in dry run would say; null when there are none. */
export function dryRunExchange(exchange: Exchange): DryRunVerdict | null {
  const { connection, snapshot } = exchange;
  const policies = policiesFor(connection.destination, snapshot);
  return policies === null || policies.dryRun === null ? null : dryRunL7(policies, policyFacts(connection, exchange));
}

/** A call is answered: of a page that a server sends instead, nothing is a message. */
export function noteGrpcAnswer(exchange: Exchange, { headers }: ResponseHead): void {
  exchange.grpcStatus = headers.get('grpc-status');
  if (isGrpcType(headers)) exchange.responseMessages = new MessageCounter();
}

function isGrpcType(headers: HeaderBlock): boolean {
  const contentType = headers.getById(HEADER.contentType);
  return contentType === 'application/grpc' || contentType?.startsWith('application/grpc+') === true;
}
