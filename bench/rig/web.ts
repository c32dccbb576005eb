import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startWorkload } from '#testbed/lab/app.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Bare, listening, startBare } from './bare.ts';
import { manyRulesYaml } from './many-rules.ts';
import { announced, CPU, NAMESPACE, pin, type Rig, wayOfClient } from './rig.ts';
import type { Way } from './way.ts';

/** What the origins speak: HTTP/1.1 by the load itself, HTTP/2 by nghttpd, with a trailer as gRPC has. */
export const ORIGIN_PORT = { http1: 9080, http2: 9081 } as const;
/** One of them. */
export type HttpVersion = keyof typeof ORIGIN_PORT;

const VIP: Record<HttpVersion | 'routes100', string> = { http1: '10.96.0.20', http2: '10.96.0.21', routes100: '10.96.0.22' };
const WORD: Record<HttpVersion, string> = { http1: 'http', http2: 'kubernetes.io/h2c' };
const VERSIONS = ['http1', 'http2'] as const;
const BODY_BYTES = 1024;
const LISTEN_MS = 10_000;

/** The ways through a proxy of HTTP: to an origin of each version, and to one before which many rules have to be looked at. */
export type WebWays = Record<keyof typeof VIP, Way> & { proxy: number };

/** Starts a waypoint on the client's node with both origins behind it. Returns the ways to them; `proxy` is the waypoint's process. */
export async function meshWeb(rig: Rig): Promise<WebWays> {
  const services = [...VERSIONS.map((version) => serviceYaml(version, version)), serviceYaml('routes100', 'http1')];
  await writeFile(join(rig.lab.configDir, 'web.yaml'), [GATEWAY_YAML, ...services].join('---\n'));
  await writeFile(join(rig.lab.configDir, 'routes100.yaml'), manyRulesYaml(NAMESPACE, 'routes100'));
  for (const version of VERSIONS) {
    const line = announced(['taskset', '-c', CPU.client, ...(await originLine(rig, version))]);
    const identity = { namespace: NAMESPACE, serviceAccount: version, labels: { app: version } };
    const app = await startWorkload(rig.plan, { name: version, node: 'alpha', ...identity, command: line }, rig.spawn);
    await waitUntil(`the origin of ${version}`, LISTEN_MS, async () => {
      const sockets = await command(inNetnsOf(app.pid, ['ss', '-tlnH']));
      return sockets.includes(`:${ORIGIN_PORT[version]} `);
    });
  }
  await waitUntil('waypoint in the status', LISTEN_MS, async () => {
    await rig.lab.waypointsReady();
    return readFile(waypointFile(rig)).then(() => true);
  });
  const { pid } = JSON.parse(await readFile(waypointFile(rig), 'utf8')) as { pid: number };
  await pin(pid, CPU.server);
  const carriers = [pid, rig.agents.alpha.pid];
  const way = (name: keyof typeof VIP): Promise<Way> => wayOfClient(rig, { host: VIP[name], port: '80', carriers });
  return { http1: await way('http1'), http2: await way('http2'), routes100: await way('routes100'), proxy: pid };
}

/** Starts both origins in the bare namespace of servers. */
export async function bareOrigins(rig: Rig, { near }: Bare): Promise<void> {
  for (const version of VERSIONS) {
    startBare(rig, near.server, CPU.client, await originLine(rig, version));
    await listening(rig, near.server, ORIGIN_PORT[version]);
  }
}

/** Origins and client share a CPU, so that the proxy between them has one alone. */
async function originLine(rig: Rig, version: HttpVersion): Promise<string[]> {
  const port = String(ORIGIN_PORT[version]);
  if (version === 'http1') return [rig.load, 'web', port];
  const documents = join(rig.dir, 'documents');
  await mkdir(documents, { recursive: true });
  await writeFile(join(documents, 'kib'), 'x'.repeat(BODY_BYTES));
  return ['nghttpd', '--no-tls', '-d', documents, '--trailer=grpc-status: 0', port];
}

/** What the control plane keeps of the waypoint it runs. */
function waypointFile(rig: Rig): string {
  return join(rig.lab.paths.waypointDir, `${NAMESPACE}.waypoint.json`);
}

const GATEWAY_YAML = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: ${NAMESPACE}, labels: { istio.io/waypoint-for: service } }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
`;

function serviceYaml(name: keyof typeof VIP, version: HttpVersion): string {
  return webServiceYaml(name, VIP[name], version);
}

/** A service before the origin of a version, by the waypoint. */
export function webServiceYaml(name: string, address: string, version: HttpVersion): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE}, labels: { istio.io/use-waypoint: waypoint } }
spec:
  clusterIP: ${address}
  selector: { app: ${version} }
  ports: [{ name: web, port: 80, targetPort: ${ORIGIN_PORT[version]}, appProtocol: ${WORD[version]} }]
`;
}
