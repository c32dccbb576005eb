/** What a response flag is for: node proxies' flags are ztunnel's, waypoints' are Envoy's. */
type FlagMeaning = { readonly of: 'node proxy' | 'waypoint' | 'both'; readonly means: string };

/** Every response flag that a log line or a metric of ours can show. */
export const RESPONSE_FLAGS = {
  '-': { of: 'both', means: 'nothing special' },
  DENY: { of: 'node proxy', means: 'an authorization policy denies it' },
  CONNECT: { of: 'node proxy', means: 'refused for another reason than policy, or the destination could not be reached' },
  TLS_FAILURE: { of: 'node proxy', means: 'the TLS handshake with the peer failed' },
  H2_HANDSHAKE_FAILURE: { of: 'node proxy', means: 'the peer does not speak HTTP/2' },
  NETWORK_POLICY: { of: 'node proxy', means: 'no answer on the HBONE port: a network policy or firewall may block it' },
  IDENTITY_ERROR: { of: 'node proxy', means: 'no certificate for this identity, or the peer has another identity' },
  CERT_REVOKED: { of: 'node proxy', means: "the peer's certificate is revoked" },
  UH: { of: 'waypoint', means: 'no healthy endpoint' },
  UT: { of: 'waypoint', means: 'the request took longer than its route allows' },
  LR: { of: 'waypoint', means: 'reset by the waypoint' },
  UR: { of: 'waypoint', means: 'the endpoint reset the request' },
  UF: { of: 'waypoint', means: 'no connection to the endpoint' },
  UC: { of: 'waypoint', means: 'the endpoint closed the connection' },
  NR: { of: 'waypoint', means: 'no route, or the destination is not bound to this waypoint' },
  DC: { of: 'waypoint', means: 'the client left' },
  DPE: { of: 'waypoint', means: 'the client broke the protocol' },
  UPE: { of: 'waypoint', means: 'the endpoint broke the protocol' },
  NC: { of: 'waypoint', means: 'the route leads to no service' },
  RL: { of: 'waypoint', means: 'more requests than a rate limit allows' },
  RLSE: { of: 'waypoint', means: 'the rate limit service cannot be asked, and its policy then denies' },
  FI: { of: 'waypoint', means: 'aborted by fault injection' },
  UAEX: { of: 'waypoint', means: 'an external authorizer denies it, or cannot be asked' },
  DR: { of: 'waypoint', means: 'the client withdrew the request' },
  DT: { of: 'waypoint', means: 'the connection lasted as long as it may' },
  UO: { of: 'waypoint', means: 'more under way than a circuit breaker or a retry budget allows' },
  URX: { of: 'waypoint', means: 'failed as often as its route has it sent again; beside the flag of the last try' },
} as const satisfies Readonly<Record<string, FlagMeaning>>;

/** Why a connection or request did not simply end: ztunnel's and Envoy's short names. */
export type ResponseFlag = keyof typeof RESPONSE_FLAGS;

/** Why a request that failed was not sent once more. */
export type RetryFlag = 'UO' | 'URX';
/** What a log line or a metric shows: of a request that was not sent once more, beside how its last try ended. */
export type ResponseFlags = ResponseFlag | `${ResponseFlag},${RetryFlag}`;

/** Both flags of a request; none is told twice. */
export function joinFlags(flag: ResponseFlag, retry: RetryFlag | null): ResponseFlags {
  if (retry === null || flag === retry) return flag;
  return flag === '-' ? retry : `${flag},${retry}`;
}

type CauseMeaning = { readonly flag: ResponseFlag; readonly means: string };

/**
 * Every cause for which a connection is refused or cut, with the flag it shows unless the failure itself says another.
 * A refusal is one log line and one count of weft_refusals_total with its cause.
 */
export const CLOSE_CAUSES = {
  policy: { flag: 'DENY', means: 'an authorization policy denies it' },
  'policy-change': { flag: 'DENY', means: 'a changed policy came to deny a connection under way' },
  'waypoint-change': { flag: 'CONNECT', means: 'the destination of a connection under way came to be bound to another waypoint' },
  'identity-change': { flag: 'IDENTITY_ERROR', means: 'the destination of a connection under way came to have another identity' },
  'certificate-expired': { flag: 'IDENTITY_ERROR', means: 'the certificate of an end of it expired and was not renewed' },
  'certificate-revoked': { flag: 'CERT_REVOKED', means: 'a certificate of its peer was revoked by who issued it' },
  'denied-at-destination': { flag: 'DENY', means: "the destination's node denies it" },
  'no-backend': { flag: 'CONNECT', means: 'the service has no healthy endpoint' },
  'no-such-port': { flag: 'CONNECT', means: 'the service has no such port' },
  'no-waypoint': { flag: 'CONNECT', means: 'the bound waypoint has no ready instance' },
  'reserved-port': { flag: 'CONNECT', means: 'the port belongs to the mesh itself' },
  'bad-authority': { flag: 'CONNECT', means: 'a CONNECT asks for an address that is not served here' },
  'not-captured': { flag: 'CONNECT', means: 'a connection to a port of the mesh that the kernel did not capture' },
  'not-attested': {
    flag: 'CONNECT',
    means: 'it seems to come from a workload of this node, but the kernel did not let it go there',
  },
  'not-local': { flag: 'CONNECT', means: 'the address belongs to no workload of this node' },
  'unknown-workload': { flag: 'CONNECT', means: 'the control plane does not know the workload' },
  'unknown-mesh': { flag: 'CONNECT', means: 'the control plane has not told the mesh yet' },
  'workload-left': { flag: 'CONNECT', means: 'the workload left the mesh' },
  datagram: {
    flag: 'CONNECT',
    means: 'nothing carries datagrams to a workload of another node, and in clear they do not go there',
  },
  'not-registered': { flag: 'CONNECT', means: 'its namespace is registry-only, and the mesh does not know the destination' },
  'link-frame': { flag: 'CONNECT', means: 'a frame of the workload is neither IPv4, IPv6 nor ARP, or is not whole' },
  'link-source': { flag: 'CONNECT', means: "a frame of the workload does not come from the workload's own addresses" },
  'link-neighbour': { flag: 'CONNECT', means: 'the workload claims an address that is not its own, or poses as a router' },
  'link-group': { flag: 'CONNECT', means: 'a packet of the workload to a group or to everybody' },
  'link-clear': {
    flag: 'CONNECT',
    means: 'a packet to a workload of another node, or to an address that is not known yet, that is not from a tunnel',
  },
  'no-memory': { flag: 'CONNECT', means: 'the kernel has no memory for the record of the connection' },
  'no-agent': { flag: 'CONNECT', means: 'the agent was not running' },
  'connect-failed': { flag: 'CONNECT', means: 'the destination could not be reached' },
  'tunnel-refused': { flag: 'CONNECT', means: "the destination's node refused the tunnel" },
  'tunnel-failed': { flag: 'CONNECT', means: "no tunnel to the destination's node" },
  'handshake-failed': { flag: 'TLS_FAILURE', means: 'the peer ended the handshake, or has no identity of this mesh' },
  unproved: {
    flag: 'CONNECT',
    means: 'the peer proved nothing in time, or made room for others: weft_unproved_closed_total says which',
  },
  share: { flag: 'CONNECT', means: 'the workload holds its share of what all workloads of the node use' },
  'too-many': { flag: 'CONNECT', means: 'too many connections are open' },
  'not-bound': { flag: 'NR', means: 'the destination is not bound to this waypoint' },
  overflow: { flag: 'UO', means: 'more connections to the destination than a circuit breaker allows' },
  'silent-client': { flag: 'DC', means: 'the client said nothing on a port of undeclared protocol' },
  'protocol-error': { flag: 'DPE', means: 'the client broke the protocol' },
  other: { flag: 'CONNECT', means: 'a cause without a name of its own' },
} as const satisfies Readonly<Record<string, CauseMeaning>>;

/** Why a connection was refused or cut. */
export type CloseCause = keyof typeof CLOSE_CAUSES;

/** Why a connection that had proved nothing was closed; label values of weft_unproved_closed_total. */
export const DOOR_CAUSES = {
  evicted: 'it made room: of the source that has most waiting, the one that waits longest goes',
  late: 'it proved nothing in time; the time shrinks when many wait',
  'too-fast': 'its source began more connections than it may, or too many of them failed',
} as const satisfies Readonly<Record<string, string>>;

/** Why it was closed, in a word. */
export type DoorCause = keyof typeof DOOR_CAUSES;

/** A refusal that carries its cause, its flag and the policy that caused it. */
export class Refusal extends Error {
  readonly why: CloseCause;
  readonly flag: ResponseFlag;
  /** `<namespace>/<name>`. */
  readonly policy: string | null;
  /** Index in the policy's own list. */
  readonly rule: number | null;

  constructor(
    why: CloseCause,
    message: string,
    more: { flag?: ResponseFlag; policy?: string | null; rule?: number | null } = {},
  ) {
    super(message);
    this.name = 'Refusal';
    this.why = why;
    this.flag = more.flag ?? CLOSE_CAUSES[why].flag;
    this.policy = more.policy ?? null;
    this.rule = more.rule ?? null;
  }
}

/** Anything thrown, as a refusal: what is none already is one for `why`. */
export function refusalOf(error: unknown, why: CloseCause): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal(why, error instanceof Error ? error.message : String(error));
}
