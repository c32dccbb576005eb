import type { ServicePortResource } from '#control-plane/mesh/services.ts';
import type { AppProtocol } from '#model/mesh/service.ts';

const GRPC_WEB = 'grpc-web';

/** Words of appProtocol and of port names, with what they mean to the mesh. Source: config-api 1.10. */
const WORDS: Readonly<Record<string, AppProtocol>> = {
  http: 'http11',
  'kubernetes.io/ws': 'http11',
  http2: 'http2',
  'kubernetes.io/h2c': 'http2',
  grpc: 'grpc',
  // What stands behind it speaks gRPC; the waypoint translates.
  [GRPC_WEB]: 'grpc',
  https: 'tls',
  tls: 'tls',
  'kubernetes.io/wss': 'tls',
  tcp: 'tcp',
  // The server speaks first or the bytes are not HTTP: waiting for a request would hang them.
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
};

/** SMTP, DNS, MySQL and MongoDB: the server speaks first, so nothing can be sniffed. */
const SERVER_FIRST_PORTS: readonly number[] = [25, 53, 3306, 27017];

/** appProtocol beats the port's name (`http-web`), which beats the well-known port numbers; else unknown. */
export function appProtocolOf({ name, port, protocol, appProtocol }: ServicePortResource): AppProtocol {
  if (protocol !== 'TCP') return 'unknown';
  const word = appProtocol ?? name;
  const known = meaningOf(word) ?? (appProtocol === null ? meaningOf(word.split('-')[0] ?? '') : null);
  return known ?? (SERVER_FIRST_PORTS.includes(port) ? 'tcp' : 'unknown');
}

/** Whether clients may speak gRPC-Web there: by appProtocol, or without one by a name (`grpc-web`, `grpc-web-ui`). */
export function speaksGrpcWeb({ name, appProtocol }: Pick<ServicePortResource, 'name' | 'appProtocol'>): boolean {
  if (appProtocol !== null) return appProtocol.toLowerCase() === GRPC_WEB;
  return name === GRPC_WEB || name.startsWith(`${GRPC_WEB}-`);
}

function meaningOf(word: string): AppProtocol | null {
  const lower = word.toLowerCase();
  return Object.hasOwn(WORDS, lower) ? (WORDS[lower] ?? null) : null;
}
