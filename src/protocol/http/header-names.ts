/** The headers that the engines themselves must recognise; every other name is `other`. */
export const HEADER = {
  other: 0,
  host: 1,
  connection: 2,
  upgrade: 3,
  keepAlive: 4,
  proxyConnection: 5,
  transferEncoding: 6,
  contentLength: 7,
  te: 8,
  expect: 9,
  http2Settings: 10,
  trailer: 11,
  contentType: 12,
  requestId: 13,
  forwardedProto: 14,
  forwardedClientCert: 15,
  server: 16,
  date: 17,
  cookie: 18,
  upstreamServiceTime: 19,
  /** x-envoy-* hints that only a trusted caller may give; none is at a waypoint (W11). */
  callerHint: 20,
} as const;
/** One of HEADER. */
export type HeaderId = (typeof HEADER)[keyof typeof HEADER];

const CALLER_HINTS = [
  'retry-on',
  'retry-grpc-on',
  'max-retries',
  'retriable-status-codes',
  'retriable-header-names',
  'upstream-rq-timeout-ms',
  'upstream-rq-per-try-timeout-ms',
  'upstream-rq-timeout-alt-response',
  'expected-rq-timeout-ms',
  'hedge-on-per-try-timeout',
  'upstream-alt-stat-name',
  'force-trace',
  'ip-tags',
  'original-url',
  'internal',
].map((name) => `x-envoy-${name}`);

const IDS: ReadonlyMap<string, HeaderId> = new Map<string, HeaderId>([
  ['host', HEADER.host],
  ['connection', HEADER.connection],
  ['upgrade', HEADER.upgrade],
  ['keep-alive', HEADER.keepAlive],
  ['proxy-connection', HEADER.proxyConnection],
  ['transfer-encoding', HEADER.transferEncoding],
  ['content-length', HEADER.contentLength],
  ['te', HEADER.te],
  ['expect', HEADER.expect],
  ['http2-settings', HEADER.http2Settings],
  ['trailer', HEADER.trailer],
  ['content-type', HEADER.contentType],
  ['x-request-id', HEADER.requestId],
  ['x-forwarded-proto', HEADER.forwardedProto],
  ['x-forwarded-client-cert', HEADER.forwardedClientCert],
  ['server', HEADER.server],
  ['date', HEADER.date],
  ['cookie', HEADER.cookie],
  ['x-envoy-upstream-service-time', HEADER.upstreamServiceTime],
  ...CALLER_HINTS.map((name): [string, HeaderId] => [name, HEADER.callerHint]),
]);

type Known = { readonly id: HeaderId; readonly name: string };

/** Candidates by name length: most names are told apart by it alone. */
const BY_LENGTH: readonly (readonly Known[])[] = byLength();

/** The id of a name given in lower case. */
export function headerIdOf(name: string): HeaderId {
  return IDS.get(name) ?? HEADER.other;
}

/** The id of the name at `bytes[start, end)`, in any case, without making a string. */
export function classifyHeader(bytes: Uint8Array, start: number, end: number): HeaderId {
  const candidates = BY_LENGTH[end - start];
  if (candidates === undefined) return HEADER.other;
  for (const { id, name } of candidates) if (equalsIgnoringCase(bytes, start, name)) return id;
  return HEADER.other;
}

/** Whether the bytes from `start` on spell `lower` (lower case), ignoring ASCII case. The caller has checked the length. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, lower: string): boolean {
  // From the end: names that share a prefix differ there.
  for (let at = lower.length - 1; at >= 0; at--) {
    const code = bytes[start + at] ?? 0;
    const folded = code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
    if (folded !== lower.charCodeAt(at)) return false;
  }
  return true;
}

function byLength(): Known[][] {
  const table: Known[][] = [];
  for (const [name, id] of IDS) {
    table[name.length] ??= [];
    table[name.length]?.push({ id, name });
  }
  return Array.from(table, (candidates) => candidates ?? []);
}
