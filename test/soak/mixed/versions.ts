/**
 * The configuration by its number, and what it makes of a request: it changes every second, and each answer tells by which number it was
 * given. Nothing here knows how a waypoint does it.
 */

export const NAMESPACE = 'attacks';
/** `web` takes HTTP/1.1 and has an HTTPRoute, `web2` HTTP/2 and a VirtualService, `calls` gRPC and a GRPCRoute. */
export const SERVICES = {
  web: { vip: '10.96.150.1', appProtocol: 'http', targetPort: 7000 },
  web2: { vip: '10.96.150.2', appProtocol: 'kubernetes.io/h2c', targetPort: 7001 },
  calls: { vip: '10.96.150.3', appProtocol: 'grpc', targetPort: 7002 },
} as const;
export const PORT = 80;
/** Who answers: workloads of the same app, subsets of a DestinationRule. */
export const ANSWERERS = ['one', 'two'] as const;

/** What a request is about; each has a path of its own. */
export type Kind = 'echo' | 'slow' | 'secret' | 'old' | 'broken' | 'limited';

const isDenied = (version: number): boolean => version % 3 === 2;
const isMoved = (version: number): boolean => version % 2 === 1;
const isBroken = (version: number): boolean => version % 4 === 1;
const subsetOf = (version: number): string => ANSWERERS[Math.floor(version / 2) % 2] ?? '';
const limitOf = (version: number): number => 1_000_000 + version;

const BALANCERS = [
  { simple: 'ROUND_ROBIN' },
  { simple: 'LEAST_REQUEST' },
  { consistentHash: { httpHeaderName: 'x-caller' } },
  { simple: 'RANDOM' },
];
const GATEWAY_API = 'gateway.networking.k8s.io';
const named = (apiVersion: string, kind: string, name: string, spec: object): object => ({
  ...{ apiVersion, kind },
  metadata: { name, namespace: NAMESPACE },
  spec,
});

/** The services, which stay. */
export function servicesYaml(): string {
  const all = Object.entries(SERVICES).map(([name, { vip, appProtocol, targetPort }]) => ({
    ...{ apiVersion: 'v1', kind: 'Service' },
    metadata: { name, namespace: NAMESPACE, labels: { 'istio.io/use-waypoint': 'waypoint' } },
    spec: { clusterIP: vip, selector: { app: 'mixed' }, ports: [{ name: 'main', port: PORT, targetPort, appProtocol }] },
  }));
  return all.map((one) => JSON.stringify(one)).join('\n---\n');
}

/** The names of the routes of a version, whose conditions tell that it was taken. */
export const routesOf = (version: number): string[] => [
  `HTTPRoute ${NAMESPACE}/web-${version}`,
  `GRPCRoute ${NAMESPACE}/calls-${version}`,
];

/** All that is in force of a version, as one file. */
export function versionYaml(version: number): string {
  const all = [webRoute(version), callsRoute(version), web2Route(version), ...destinations(version), ...policies(version)];
  return all.map((one) => JSON.stringify(one)).join('\n---\n');
}

function edits(version: number): object[] {
  const [set, asked] = [[{ name: 'x-version', value: `${version}` }], [{ name: 'x-asked', value: `${version}` }]];
  return [
    { type: 'ResponseHeaderModifier', responseHeaderModifier: { set, remove: ['x-internal'] } },
    { type: 'RequestHeaderModifier', requestHeaderModifier: { set: asked } },
  ];
}

function webRoute(version: number): object {
  const backendRefs = [{ name: 'web', port: PORT }];
  const path = (value: string): object => ({ matches: [{ path: { type: 'PathPrefix', value } }] });
  const whole = (replaceFullPath: string): object => ({ path: { type: 'ReplaceFullPath', replaceFullPath } });
  const old = isMoved(version)
    ? { filters: [{ type: 'RequestRedirect', requestRedirect: { ...whole(`/new-${version}`), statusCode: 302 } }] }
    : { filters: [{ type: 'URLRewrite', urlRewrite: whole(`/now-${version}`) }, ...edits(version)], backendRefs };
  const filters = edits(version);
  const timeouts = { request: `${30 + (version % 10)}s` };
  const rules = [
    { name: 'old', ...path('/old'), ...old },
    { name: 'broken', ...path('/broken'), filters, backendRefs },
    { name: 'limited', ...path('/limited'), filters, backendRefs },
    { name: 'rest', filters, backendRefs, timeouts },
  ];
  // Nobody asks for these: the table of routes is another one each time.
  const others = Array.from({ length: version % 7 }, (_, at) => ({ ...path(`/other-${at}`), backendRefs }));
  const parentRefs = [{ group: '', kind: 'Service', name: 'web', port: PORT }];
  return named(`${GATEWAY_API}/v1`, 'HTTPRoute', `web-${version}`, { parentRefs, rules: [...others, ...rules] });
}

function callsRoute(version: number): object {
  const backendRefs = [{ name: 'calls', port: PORT }];
  const filters = edits(version);
  const matches = [{ method: { service: 'soak.Mixed', method: 'Broken' } }];
  const rules = [
    { name: 'broken', matches, filters, backendRefs },
    { name: 'rest', filters, backendRefs },
  ];
  const parentRefs = [{ group: '', kind: 'Service', name: 'calls', port: PORT }];
  return named(`${GATEWAY_API}/v1`, 'GRPCRoute', `calls-${version}`, { parentRefs, rules });
}

function web2Route(version: number): object {
  const headers = {
    request: { set: { 'x-asked': `${version}` } },
    response: { set: { 'x-version': `${version}` }, remove: ['x-internal'] },
  };
  const way = { route: [{ destination: { host: 'web2', subset: subsetOf(version) } }], headers };
  const match = (prefix: string): object => ({ match: [{ uri: { prefix } }] });
  const old = isMoved(version)
    ? { redirect: { uri: `/new-${version}`, redirectCode: 302 } }
    : { rewrite: { uri: `/now-${version}` }, ...way };
  const fault = isBroken(version) ? { fault: { abort: { httpStatus: 418, percentage: { value: 100 } } } } : {};
  const http = [{ ...match('/old'), ...old }, { ...match('/broken'), ...fault, ...way }, way];
  return named('networking.istio.io/v1', 'VirtualService', 'web2', { hosts: ['web2'], http });
}

function destinations(version: number): object[] {
  const trafficPolicy = {
    loadBalancer: BALANCERS[version % BALANCERS.length],
    connectionPool: {
      tcp: { maxConnections: 500 + version },
      http: { http2MaxRequests: 900 + version, ...(version % 5 === 0 ? { maxRequestsPerConnection: 3 } : {}) },
    },
    outlierDetection: { consecutive5xxErrors: 5 + (version % 3), interval: '5s' },
  };
  const subsets = ANSWERERS.map((one) => ({ name: one, labels: { version: one } }));
  return Object.keys(SERVICES).map((host) =>
    named('networking.istio.io/v1', 'DestinationRule', host, { host, trafficPolicy, ...(host === 'web2' && { subsets }) }),
  );
}

function policies(version: number): object[] {
  const route = (kind: string, name: string, sectionName: string): object => ({
    targetRefs: [{ group: GATEWAY_API, kind, name: `${name}-${version}`, sectionName }],
  });
  const traffic = (name: string, spec: object): object => named('weft.dev/v1alpha1', 'TrafficPolicy', name, spec);
  const limit = {
    rules: [{ name: 'all', limit: { requests: limitOf(version), window: '1h' } }],
    responseHeaders: 'DraftVersion03',
  };
  const targetRefs = Object.keys(SERVICES).map((name) => ({ group: '', kind: 'Service', name }));
  const rules = [{ to: [{ operation: { paths: ['/secret*', '/soak.Mixed/Secret'] } }] }];
  const denial = named('security.istio.io/v1', 'AuthorizationPolicy', 'secret', { targetRefs, action: 'DENY', rules });
  const breaker = { circuitBreaker: { maxRequests: 1_000 + version }, retryBudget: { percent: 20 + (version % 5) } };
  const gateway = [{ group: GATEWAY_API, kind: 'Gateway', name: 'waypoint' }];
  return [
    traffic('limit', { ...route('HTTPRoute', 'web', 'limited'), rateLimit: limit }),
    traffic('breaker', { targetRefs: [{ group: '', kind: 'Service', name: 'calls' }], ...breaker }),
    named('telemetry.istio.io/v1', 'Telemetry', 'lines', {
      targetRefs: gateway,
      accessLogging: [{ disabled: version % 2 === 0 }],
    }),
    ...(isDenied(version) ? [denial] : []),
    ...(isBroken(version)
      ? [
          traffic('broken', { ...route('HTTPRoute', 'web', 'broken'), faultInjection: { abort: { httpStatus: 418 } } }),
          traffic('broken-calls', { ...route('GRPCRoute', 'calls', 'broken'), faultInjection: { abort: { grpcStatus: 10 } } }),
        ]
      : []),
  ];
}

/** Versions that may be in force: from the last one that surely was when a request began, to the last one that was written by its answer. */
export type Window = { readonly must: number; readonly may: number };

const within = ({ must, may }: Window): number[] => Array.from({ length: may - must + 1 }, (_, at) => must + at);

/** An answer but for its body. */
export type Answer = { readonly status: number; readonly header: (name: string) => string | undefined };

/** What is wrong with an answer, in words; null: some version that may be in force gives it. */
export function objectionTo(service: 'web' | 'web2', kind: Kind, { status, header }: Answer, window: Window): string | null {
  const versions = within(window);
  switch (status) {
    case 200:
      break;
    case 403:
      return kind === 'secret' && versions.some(isDenied) ? null : 'refused';
    case 418:
      return kind === 'broken' && versions.some(isBroken) ? null : 'aborted';
    case 302: {
      const moved = Number(/\/new-(\d+)(\?|$)/.exec(header('location') ?? '')?.[1]);
      return kind === 'old' && versions.includes(moved) && isMoved(moved) ? null : `moved to ${header('location')}`;
    }
    default:
      return `status ${status}`;
  }
  if (kind === 'secret' && versions.every(isDenied)) return 'not refused';
  if (kind === 'broken' && versions.every(isBroken)) return 'not aborted';
  const version = Number(header('x-version'));
  const objection = objectionToVersion(header, window);
  if (objection !== null) return objection;
  const path = header('x-path') ?? '';
  if (kind === 'old' ? isMoved(version) || path !== `/now-${version}` : path !== `/${kind}`) return `path ${path} of ${version}`;
  if (service === 'web2' && header('x-server') !== subsetOf(version)) return `${header('x-server')} answered in ${version}`;
  if (service === 'web' && kind === 'limited') {
    const limit = header('x-ratelimit-limit') ?? '';
    if (!versions.some((one) => limit.startsWith(`${limitOf(one)}`))) return `limit ${limit}`;
  }
  return null;
}

/** The same of a call by its status. */
export function objectionToCall(method: 'Echo' | 'Fail' | 'Secret' | 'Broken', status: number, window: Window): string | null {
  const versions = within(window);
  if (status === 7) return method === 'Secret' && versions.some(isDenied) ? null : 'refused';
  // One that comes to be denied when its answer has begun is broken off, which no status can say any more (RST_STREAM).
  if (status === 13) return method === 'Secret' && versions.some(isDenied) ? null : 'broken off';
  if (status === 10) return method === 'Broken' && versions.some(isBroken) ? null : 'aborted';
  if (status !== (method === 'Fail' ? 9 : 0)) return `status ${status}`;
  if (method === 'Secret' && versions.every(isDenied)) return 'not refused';
  return method === 'Broken' && versions.every(isBroken) ? 'not aborted' : null;
}

/** What is wrong with the headers of whatever an app has answered. */
export function objectionToVersion(header: Answer['header'], window: Window): string | null {
  const version = header('x-version');
  if (
    !within(window)
      .map(String)
      .includes(version ?? '')
  )
    return `version ${version}`;
  if (header('x-seen') !== version) return `version ${version}, and the app saw ${header('x-seen')}`;
  return header('x-internal') === undefined ? null : 'x-internal came';
}

const PATTERN = Buffer.from(Array.from({ length: 1 << 20 }, (_, at) => (at * 31 + (at >> 8) * 17) & 0xff));

/** The bytes of a body. */
export function bytesOf(seed: number, length: number): Buffer {
  const from = (seed * 7_919) % 65_521;
  return PATTERN.subarray(from, from + length);
}
