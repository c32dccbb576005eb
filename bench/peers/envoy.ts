import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MANY, manyPaths } from '../load/many.ts';
import { type Bare, bareWay, listening, startBare } from '../rig/bare.ts';
import { CPU, type Rig } from '../rig/rig.ts';
import type { Way } from '../rig/way.ts';
import { type HttpVersion, ORIGIN_PORT } from '../rig/web.ts';

/** Brought by scripts/envoy. */
const ENVOY = join(import.meta.dirname, '../../build/tools/envoy');

/** What Envoy is asked to do for the requests of a port: pass them on, write a line for each too, or find its way among many rules. */
const DUTIES = { http1: 9180, http2: 9181, observed: 9182, routes100: 9183 } as const;
type Duty = keyof typeof DUTIES;

/** One Envoy with one worker between the client and the origins that `haproxyWeb` has started. */
export async function envoyWeb(rig: Rig, { near }: Bare): Promise<Record<Duty, Way> & { proxy: number }> {
  const config = join(rig.dir, 'envoy.json');
  await writeFile(config, JSON.stringify(bootstrap(near.address, join(rig.dir, 'envoy-access.log'))));
  const line = [ENVOY, '-c', config, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  const proxy = startBare(rig, near.proxy, CPU.server, line).pid;
  await listening(rig, near.proxy, DUTIES.routes100);
  const way = (duty: Duty): Way => bareWay(rig, near, { host: near.proxyAddress, port: DUTIES[duty] }, [proxy]);
  return { http1: way('http1'), http2: way('http2'), observed: way('observed'), routes100: way('routes100'), proxy };
}

type Json = Record<string, unknown>;

function bootstrap(origin: string, log: string): Json {
  return {
    static_resources: {
      listeners: [
        listener('http1', 'http1'),
        listener('http2', 'http2'),
        listener('observed', 'http1', { access_log: [accessLog(log)] }),
        listener('routes100', 'http1', {
          http_filters: [deniedPaths(), router()],
          route_config: routes([...manyPaths('r').map((path) => route(path, 'http1')), route('/', 'http1')]),
        }),
      ],
      clusters: [cluster('http1', origin), cluster('http2', origin)],
    },
  };
}

function typed(type: string, fields: Json = {}): Json {
  return { '@type': `type.googleapis.com/${type}`, ...fields };
}

const CONNECTION_MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const FILE_LOG = 'envoy.extensions.access_loggers.file.v3.FileAccessLog';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function listener(duty: Duty, version: HttpVersion, manager: Json = {}): Json {
  const settings = {
    stat_prefix: duty,
    codec_type: version === 'http1' ? 'HTTP1' : 'HTTP2',
    route_config: routes([route('/', version)]),
    http_filters: [router()],
    ...manager,
  };
  const filter = { name: 'http', typed_config: typed(CONNECTION_MANAGER, settings) };
  return { name: duty, address: address('0.0.0.0', DUTIES[duty]), filter_chains: [{ filters: [filter] }] };
}

function router(): Json {
  return { name: 'router', typed_config: typed(ROUTER) };
}

function routes(rules: readonly Json[]): Json {
  return { virtual_hosts: [{ name: 'all', domains: ['*'], routes: rules }] };
}

function route(prefix: string, version: HttpVersion): Json {
  return { match: { prefix }, route: { cluster: version } };
}

/** As many policies as a waypoint has in the same row, of which none denies what is asked for. */
function deniedPaths(): Json {
  const policy = (path: string): Json => ({
    permissions: [{ url_path: { path: { prefix: path } } }],
    principals: [{ any: true }],
  });
  const policies = Object.fromEntries(manyPaths('denied').map((path) => [path, policy(path)]));
  return { name: 'rbac', typed_config: typed(RBAC, { rules: { action: 'DENY', policies } }) };
}

/** The fields that a waypoint's line has, as JSON. */
function accessLog(path: string): Json {
  const fields = {
    time: '%START_TIME%',
    method: '%REQ(:METHOD)%',
    path: '%REQ(:PATH)%',
    protocol: '%PROTOCOL%',
    authority: '%REQ(:AUTHORITY)%',
    status: '%RESPONSE_CODE%',
    flags: '%RESPONSE_FLAGS%',
    received: '%BYTES_RECEIVED%',
    sent: '%BYTES_SENT%',
    duration: '%DURATION%',
    upstream: '%UPSTREAM_HOST%',
    cluster: '%UPSTREAM_CLUSTER%',
    client: '%DOWNSTREAM_REMOTE_ADDRESS%',
    request_id: '%REQ(X-REQUEST-ID)%',
    user_agent: '%REQ(USER-AGENT)%',
  };
  return { name: 'file', typed_config: typed(FILE_LOG, { path, log_format: { json_format: fields } }) };
}

function cluster(version: HttpVersion, origin: string): Json {
  const explicit = version === 'http1' ? { http_protocol_options: {} } : { http2_protocol_options: {} };
  const endpoint = { endpoint: { address: address(origin, ORIGIN_PORT[version]) } };
  return {
    name: version,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: { cluster_name: version, endpoints: [{ lb_endpoints: [endpoint] }] },
    // As many connections as there are clients: its own limits are not what is measured.
    circuit_breakers: {
      thresholds: [{ max_connections: MANY.limit, max_pending_requests: MANY.limit, max_requests: MANY.limit }],
    },
    typed_extension_protocol_options: { [HTTP_OPTIONS]: typed(HTTP_OPTIONS, { explicit_http_config: explicit }) },
  };
}

function address(host: string, port: number): Json {
  return { socket_address: { address: host, port_value: port } };
}
