import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { manyPaths } from '../load/many.ts';
import { type Bare, bareWay, listening, startBare } from '../rig/bare.ts';
import { CPU, LOAD_PORT, type Rig } from '../rig/rig.ts';
import type { Way } from '../rig/way.ts';
import { bareOrigins, type HttpVersion, ORIGIN_PORT, type WebWays } from '../rig/web.ts';

const PORT = 9443;
const TLS_PORT = 9444;
/** Where HAProxy listens before origins of HTTP. */
const PORTS = { ...ORIGIN_PORT, routes100: 9082 } as const;

/** One thread, as one data path of the mesh has. */
const SETTINGS = 'global\n  nbthread 1\ndefaults\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n';

/**
 * Two HAProxy processes, one beside the client and one beside the far server, mutual TLS 1.3 between them, a connection of its own
 * for each of the client's. The certificates lie in the rig's directory.
 */
export async function haproxyPair(rig: Rig, { far }: Bare): Promise<Way> {
  const tls = (name: string): string =>
    `ssl crt ${join(rig.dir, `${name}.both`)} ca-file ${join(rig.dir, 'ca.pem')} verify required`;
  const start = async (name: string, netns: string, cpu: string, listen: string): Promise<number> => {
    const config = join(rig.dir, `haproxy-${name}.cfg`);
    await writeFile(config, `${SETTINGS}  mode tcp\nlisten in\n${listen}`);
    return startBare(rig, netns, cpu, ['haproxy', '-db', '-f', config]).pid;
  };
  const server = `  bind ${far.address}:${TLS_PORT} ${tls('b')} ssl-min-ver TLSv1.3\n  server app ${far.address}:${LOAD_PORT}\n`;
  const client = `  bind 127.0.0.1:${PORT}\n  server far ${far.address}:${TLS_PORT} ${tls('a')} verifyhost peer ssl-min-ver TLSv1.3\n`;
  const pids = [await start('client', far.client, CPU.client, client), await start('server', far.server, CPU.server, server)];
  await listening(rig, far.client, PORT);
  await listening(rig, far.server, TLS_PORT);
  return bareWay(rig, far, { host: '127.0.0.1', port: PORT }, pids);
}

/** One HAProxy in HTTP mode between the client and origins of both versions; it marks each request with an id, as a waypoint does. */
export async function haproxyWeb(rig: Rig, bare: Bare): Promise<WebWays> {
  const { near } = bare;
  await bareOrigins(rig, bare);
  const config = join(rig.dir, 'haproxy-web.cfg');
  const server = (version: HttpVersion, proto: string): string =>
    `  server origin ${near.address}:${ORIGIN_PORT[version]}${proto}\n`;
  const head = (name: keyof typeof PORTS, proto: string): string =>
    `listen ${name}\n  bind :${PORTS[name]}${proto}\n  http-request set-header x-request-id %[uuid()]\n`;
  const listen = (version: HttpVersion, proto: string): string => `${head(version, proto)}${server(version, proto)}`;
  // Each rule leads to a backend of its own, as a route's does.
  const denied = manyPaths('denied').map((path) => `  http-request deny if { path_beg ${path} }\n`);
  const rules = manyPaths('r').map((path, at) => `  use_backend many${at} if { path_beg ${path} }\n`);
  const backends = rules.map((_, at) => `backend many${at}\n${server('http1', '')}`);
  const many = [head('routes100', ''), ...denied, ...rules, server('http1', ''), ...backends].join('');
  const mode = '  mode http\n  http-reuse always\n';
  await writeFile(config, `${SETTINGS}${mode}${listen('http1', '')}${listen('http2', ' proto h2')}${many}`);
  const proxy = startBare(rig, near.proxy, CPU.server, ['haproxy', '-db', '-f', config]).pid;
  await listening(rig, near.proxy, PORTS.routes100);
  const way = (name: keyof typeof PORTS): Way => bareWay(rig, near, { host: near.proxyAddress, port: PORTS[name] }, [proxy]);
  return { http1: way('http1'), http2: way('http2'), routes100: way('routes100'), proxy };
}
