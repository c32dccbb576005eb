import { familyOf, type IpAddress, parseIp } from '#model/address/ip.ts';
import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import { fieldsOneByOne, type Log } from '#model/effects/log.ts';
import { createMishaps, SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { type Identity, parseIdentity } from '#model/identity/identity.ts';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { type AppProtocol, type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { TunnelRequest, TunnelTarget } from '#model/path/reach.ts';
import type { AttemptPolicy } from '#model/resilience/attempts.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { HttpBackend, HttpRouteMatch, HttpRouteRule, L7Policy, WaypointConfig } from '#model/waypoint/config.ts';
import { systemClock } from '#platform/clock.ts';
import { ownHttp2 } from '#platform/http2/own-http2.testing.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import type { Listener } from '#platform/io/io.ts';
import { TlsOrigin } from '#platform/io/tls/originate.ts';
import { jwtKeysOf } from '#platform/jwt/key-set.ts';
import { ownTcpListener, ownTcpSocket } from '#platform/linux/netns/sockets.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { TunnelPool } from '#protocol/hbone/transport.ts';
import { relayed } from '#protocol/stream/relay.ts';
import { FetchedKeys } from '#waypoint/keys/fetched-keys.ts';
import { readWaypointMetrics } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import { createWaypoint, type Waypoint } from '#waypoint/waypoint.ts';

/** The VIP of the service `cart`, port 80, behind the waypoint under test. */
export const VIP = '10.96.0.10';
export const CART = 'shop/cart.shop.svc.cluster.local';
export const FRONT = parseIdentity('spiffe://cluster.local/ns/web/sa/front');
export const WAYPOINT_IDENTITY = parseIdentity('spiffe://cluster.local/ns/shop/sa/waypoint');

/** What carries the bytes of all rigs: two loops in one thread would wait for one another. */
const io = chooseIo(process.env.WEFT_IO, systemClock, SILENT_MISHAPS);
const origin = new TlsOrigin(io);

/** One line of the waypoint's log. */
export type LogLine = Record<string, unknown> & { message: string };

export type DialTarget = { uid: string; ip: string; port: number; client: string };

/**
 * A waypoint for `shop/cart` on real loopback sockets. Endpoints are servers on 127.0.0.1; whoever connects to `port`
 * is taken for `peer`, having dialled `dialled`.
 */
export type Rig = {
  waypoint: Waypoint;
  mesh: MeshState;
  clock: SteppedClock;
  lines: LogLine[];
  dials: DialTarget[];
  tunnels: { target: TunnelTarget; request: TunnelRequest }[];
  /** What it was configured with at first. */
  config: WaypointConfig;
  /** Where clients connect. */
  port: number;
  peer: Identity | null;
  dialled: { address: string; port: number };
  /** Replaces the endpoints of a service (`cart` unless named). */
  endpoints(ports: number[], change?: Partial<Workload>, service?: string): void;
  close(): void;
};

export type RigOptions = {
  appProtocol?: AppProtocol;
  config?: Partial<WaypointConfig>;
  routes?: HttpRouteRule[];
  policies?: L7Policy[];
  random?: () => number;
  attempts?: AttemptPolicy;
  /** Effects in the place of the rig's own: those that fail. */
  effects?: Partial<WaypointEffects>;
  /** Real tunnels instead of unencrypted ones. */
  tunnelPool?: TunnelPool;
};

/** Lets everything that loopback sockets have under way arrive. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until `condition` holds; fails after two seconds of real time, which no passing test needs. */
export async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 2_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('the condition never held');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function rule(
  match: Partial<HttpRouteMatch>,
  backends: HttpBackend[],
  change: Partial<HttpRouteRule> = {},
): HttpRouteRule {
  return {
    name: '',
    matches: [{ path: null, method: null, headers: [], queryParams: [], ...match }],
    backends,
    requestHeaders: null,
    responseHeaders: null,
    requestTimeoutMs: null,
    ...change,
  };
}

export function to(service: string, weight = 1): HttpBackend {
  return { service: `shop/${service}.shop.svc.cluster.local`, port: 80, weight };
}

export function configOf({ config, routes, policies }: RigOptions): WaypointConfig {
  const route = { namespace: 'shop', name: 'r', ports: null, clientNamespace: null, rules: routes ?? [] };
  return {
    namespace: 'shop',
    gateway: 'waypoint',
    trustDomain: 'cluster.local',
    pathNormalization: 'BASE',
    services: [{ key: CART, routes: routes === undefined ? [] : [route], policies: policies ?? [] }],
    policies: [],
    ...config,
  };
}

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const mesh = new MeshState();
  const clock = new SteppedClock();
  const lines: LogLine[] = [];
  const dials: DialTarget[] = [];
  const tunnels: Rig['tunnels'] = [];
  let uuids = 0;
  let bytes = 0;
  const meters = new Meters('waypoint');
  const waypoint = createWaypoint({
    meters,
    self: { namespace: 'shop', gateway: 'waypoint', node: 'one', identity: WAYPOINT_IDENTITY },
    mesh,
    ...(options.attempts === undefined ? {} : { attempts: options.attempts }),
    effects: {
      clock,
      random: options.random ?? Math.random,
      log: collectingLog(lines),
      mishaps: createMishaps(collectingLog(lines), clock),
      newUuid: () => `00000000-0000-4000-8000-${String(++uuids).padStart(12, '0')}`,
      jwtKeys: jwtKeysOf,
      shownVariable: () => null,
      fetchedKeys: new FetchedKeys(jwtKeysOf, () => {}),
      randomBytes: (count) => new Uint8Array(count).fill(++bytes),
      dialDirect: (workload, ip, port, client) => {
        dials.push({ uid: workload.uid, ip, port, client: `${client.address}:${client.port}` });
        return connect(ip, port);
      },
      ...{ originate: origin.secure.bind(origin), relay: relayed },
      tunnels: options.tunnelPool ?? plainTunnels(tunnels),
      http2: ownHttp2(clock),
      tracing: null,
      accessText: null,
      ...options.effects,
    },
  });
  readWaypointMetrics(meters, () => waypoint.counts);
  const rig: Rig = {
    waypoint,
    mesh,
    clock,
    lines,
    dials,
    tunnels,
    config: configOf(options),
    port: 0,
    peer: FRONT,
    dialled: { address: VIP, port: 80 },
    endpoints: (ports, change = {}, service = 'cart') =>
      replaceEndpoints(rig, options.appProtocol ?? 'http11', service, ports, change),
    close: () => {},
  };
  const listener = listen((stream) =>
    waypoint.accept({
      stream,
      peer: rig.peer,
      peerAddress: parseIp('10.0.0.7'),
      peerPort: stream.remote.port,
      dialled: rig.dialled,
    }),
  );
  rig.port = listener.port;
  rig.close = () => {
    waypoint.close();
    listener.close();
  };
  rig.endpoints([]);
  waypoint.configure(rig.config);
  return rig;
}

function replaceEndpoints(rig: Rig, appProtocol: AppProtocol, name: string, ports: number[], change: Partial<Workload>): void {
  const vip = name === 'cart' ? VIP : `10.96.1.${name.length}`;
  const service: Service = aService(name, [vip], {
    ports: [{ servicePort: 80, targetPort: 0, appProtocol }],
    waypoint: { kind: 'hostname', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local', hbonePort: 15_008 },
  });
  const key = serviceKeyOf(service);
  const workloads = ports.map((port, index) =>
    aWorkload(`${name}-${index}`, ['127.0.0.1'], {
      services: new Map([[key, [{ servicePort: 80, targetPort: port }]]]),
      ...change,
    }),
  );
  const delta = deltaOf(workloads, [service]);
  const gone = rig.mesh.endpoints(key).filter(({ uid }) => !delta.workloads.has(uid));
  const touched = rig.mesh.apply({
    ...delta,
    workloads: new Map([...delta.workloads, ...gone.map(({ uid }) => [uid, null] as const)]),
  });
  rig.waypoint.meshChanged(touched);
}

/** Accepts on a free port of loopback. */
export function listen(accept: (stream: ByteStream) => void): Listener {
  return io.listen(ownTcpListener(0).fd, accept);
}

/** Plain TCP. */
export async function connect(ip: IpAddress, port: number): Promise<Dialled> {
  return io.connect(ownTcpSocket(familyOf(ip)), { ip, port }, 10_000);
}

/** Tunnels that end at the named endpoint without encryption. */
function plainTunnels(opened: Rig['tunnels']): TunnelPool {
  return {
    async open(target, request) {
      opened.push({ target, request });
      const [ip = '', port = ''] = request.authority.split(':');
      const dialled = await connect(parseIp(ip), Number(port));
      if (dialled.kind === 'open') return { ...dialled, peer: target.peers[0] ?? target.source, baggage: '' };
      return { kind: 'failed', flag: 'CONNECT', error: new Error(dialled.kind) };
    },
    size: () => 0,
    close() {},
  };
}

function collectingLog(lines: LogLine[]): Log {
  const write = (fields: object, message: string): void => {
    // As the real log: a field without a value is not written.
    const known = Object.entries(fieldsOneByOne(fields)).filter(([, value]) => value !== undefined);
    lines.push({ ...Object.fromEntries(known), message });
  };
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  return log;
}
