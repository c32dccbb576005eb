import { bytesToIp, ipToBytes16, parseIp } from '#model/address/ip.ts';
import { EMPTY_MATCH, type Match } from '#model/mesh/authorization.ts';
import { aMesh, aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { decideOutbound } from '#model/path/decide.ts';
import { decideL4, policiesFor } from '#model/policy/l4.ts';
import { compileRoutes, matchRoute, routesOfPort } from '#model/routing/route-table.ts';
import { baggageOf, formatBaggage } from '#model/telemetry/propagation.ts';
import { decodeQuery } from '#protocol/dns/query.ts';
import { encodeAnswer } from '#protocol/dns/reply.ts';
import { Http1Headers } from '#protocol/http/v1/http1-headers.ts';
import { parseRequestHead } from '#protocol/http/v1/request-head.ts';
import { FrameReader } from '#protocol/http/v2/frame-reader.ts';
import { HpackDecoder } from '#protocol/http/v2/hpack-decoder.ts';
import type { HotFunction } from './measure.ts';

const cart = aService('cart', ['240.0.0.1']);
const web = aWorkload('web', ['10.0.0.1']);
const far = aWorkload('far', ['10.0.1.1'], { node: 'two', services: endpointOf(cart) });
const RULES = 100;

const exact = (value: string): Match => ({ ...EMPTY_MATCH, principals: [{ kind: 'exact', value }] });
const rules = Array.from({ length: RULES }, (_, at) => ({
  clauses: [{ matches: [exact(`cluster.local/ns/shop/sa/app-${at}`)] }],
}));
const mesh = aMesh([web, far], [cart]);
mesh.apply({
  workloads: new Map(),
  services: new Map(),
  policies: new Map([['shop/p', { name: 'p', namespace: 'shop', scope: 'namespace', action: 'allow', dryRun: false, rules }]]),
});

const REQUEST = Buffer.from(
  'GET /products/42?view=full HTTP/1.1\r\nHost: cart.shop.svc.cluster.local\r\nUser-Agent: curl/8.5\r\nAccept: */*\r\n' +
    'X-Request-Id: 6f0e1f7c-3f0e-4f7c-9f0e-1f7c3f0e4f7c\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n',
  'latin1',
);
const QUERY = Buffer.from('\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04cart\x04shop\x03svc\x07cluster\x05local\0\0\x01\0\x01', 'latin1');
/** RFC 7541 C.4.1: the request head of its first example. */
const BLOCK = Buffer.from('828684418cf1e3c2e5f23a6ba0ab90f4ff', 'hex');
const FRAMES = Buffer.concat([
  Buffer.from('000400000000000001', 'hex'),
  Buffer.alloc(1024),
  Buffer.from('00000408000000000000001000', 'hex'),
]);

const routes = compileRoutes(
  Array.from({ length: 20 }, (_, at) => ({
    namespace: 'shop',
    name: `r${at}`,
    ports: null,
    clientNamespace: null,
    rules: [
      {
        name: `r${at}`,
        matches: [{ path: { type: 'prefix' as const, value: `/products/${at}` }, method: null, headers: [], queryParams: [] }],
        backends: [{ service: 'shop/cart' as const, port: 80, weight: 1 }],
        requestHeaders: null,
        responseHeaders: null,
        requestTimeoutMs: null,
      },
    ],
  })),
  (why) => {
    throw new Error(why);
  },
);
const routed = {
  ...{ method: 'GET', path: '/products/7/reviews', query: '', headerValues: () => [] },
  ...{ scheme: 'http' as const, clientAuthority: 'shop', port: 80, clientNamespace: 'web', claimValues: () => [] },
};
const outbound = { source: web, dialled: { ip: parseIp('240.0.0.1'), port: 80 }, chosen: null };
const node = { mesh, isLocal: (uid: string) => uid.endsWith('/web'), random: () => 0 };
const set = policiesFor(mesh, far);
const connection = {
  source: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: `app-${RULES - 1}` },
  sourceIp: parseIp('10.0.0.1'),
  destinationIp: parseIp('10.0.1.1'),
  destinationPort: 8080,
};

/** Calls `once` again and again, and adds up what its results weigh. */
function repeated(name: string, once: () => number): HotFunction {
  return {
    name,
    run(times) {
      let sum = 0;
      for (let at = 0; at < times; at++) sum += once();
      return sum;
    },
  };
}

const headers = new Http1Headers();
let bytesSeen = 0;
const sink = {
  data: (_: number, __: Buffer, start: number, end: number) => {
    bytesSeen += end - start;
  },
  frame: () => {
    bytesSeen += 1;
  },
};
const reader = new FrameReader(sink, 16_384, false);

/** What runs for each connection, request, frame or query. */
export const HOT_FUNCTIONS: readonly HotFunction[] = [
  repeated('HTTP/1.1 request head', () => (parseRequestHead(REQUEST, 0, REQUEST.length, headers).kind === 'ok' ? 1 : 0)),
  repeated('HPACK header block', () => new HpackDecoder(4096).decode(BLOCK)?.length ?? 0),
  repeated('HTTP/2 DATA and WINDOW_UPDATE frames', () => {
    reader.receive(FRAMES);
    return bytesSeen & 1;
  }),
  repeated('route of 20', () => (matchRoute(routesOfPort(routes, 80), routed).kind === 'matched' ? 1 : 0)),
  repeated(`L4 policy of ${RULES} rules`, () => (decideL4(set, connection).allowed ? 1 : 0)),
  repeated('path of an outbound connection', () => (decideOutbound(outbound, node).kind === 'hbone' ? 1 : 0)),
  repeated('DNS query and its answer', () => {
    const decoding = decodeQuery(QUERY);
    if (decoding.kind !== 'query') return 0;
    return encodeAnswer(decoding.query.echo, { aliases: [], addresses: [outbound.dialled.ip], ttlSeconds: 30 }, 512).length > 12
      ? 1
      : 0;
  }),
  repeated('baggage of a workload', () => (formatBaggage(baggageOf(web)).length > 0 ? 1 : 0)),
  repeated('address to 16 bytes and back', () => bytesToIp(ipToBytes16(connection.sourceIp)).length),
];
