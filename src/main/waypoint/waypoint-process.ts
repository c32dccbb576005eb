import { randomBytes, randomUUID } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { PORT } from '#model/mesh/ports.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { type AttestedFlows, openAttestedFlows } from '#platform/bpf/attested-flows.ts';
import { systemClock } from '#platform/clock.ts';
import { CaClient } from '#platform/grpc/ca-client.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { DiscoveryClient, type DiscoveryStatus } from '#platform/grpc/discovery-client.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer, type HboneServer } from '#platform/hbone/server.ts';
import { nodeHttp2 } from '#platform/node-http2/node-http2.ts';
import { systemRandom } from '#platform/random.ts';
import { serveMetrics, WAYPOINT_PLACE } from '#platform/telemetry/metrics-server.ts';
import { readProcessMetrics } from '#platform/telemetry/process-metrics.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { forwardedClient } from '#protocol/hbone/headers.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { createWaypoint, type Waypoint } from '#waypoint/waypoint.ts';

const WILDCARDS = ['::', '0.0.0.0'] as const;

/** What a waypoint is told. */
export type WaypointProcessOptions = {
  namespace: string;
  /** Name of the Gateway. */
  gateway: string;
  serviceAccount: string;
  /** Node it runs on. */
  node: string;
  control: ControlEndpoint;
  /** Where the node's agent pins its data path. */
  pinDir: string;
  version: string;
  log: Log;
};

/** A waypoint that follows its configuration; stop() drains it. */
export type RunningWaypoint = { stop(): Promise<void> };

type Serving = { waypoint: Waypoint; hbone: HboneServer; listeners: Server[]; close(): void };

/**
 * One waypoint in its own network namespace: HBONE on 15008, clients of this node on 15010. It listens once it has a
 * configuration, so that nothing is answered before it is known what applies.
 * Errors: WEFT_BPF_PIN when no agent has pinned a data path at `pinDir`.
 */
export async function startWaypoint(options: WaypointProcessOptions): Promise<RunningWaypoint> {
  const { log, control } = options;
  const flows = openAttestedFlows(options.pinDir);
  const ca = new CaClient(control, { impersonate: false });
  const certificates = new CertificateCache({ fetch: ca.fetch, clock: systemClock, random: systemRandom, log });
  const mesh = new MeshState();
  let serving: Promise<Serving> | null = null;
  const id = `${options.gateway}.${options.namespace}`;
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: {
      id: `waypoint~1.1.1.1~${id}~${options.namespace}.svc.cluster.local`,
      metadata: {
        NAME: options.gateway,
        NAMESPACE: options.namespace,
        SERVICE_ACCOUNT: options.serviceAccount,
        NODE_NAME: options.node,
        CLUSTER_ID: control.clusterId,
        INSTANCE_IPS: '1.1.1.1',
      },
    },
    waypoint: `${options.namespace}/${options.gateway}`,
    clock: systemClock,
    log,
    onMesh: (delta) => {
      const touched = mesh.apply(delta);
      void serving?.then(({ waypoint }) => waypoint.meshChanged(touched));
    },
    onWaypointConfig: (config) => {
      if (config !== null) serving ??= serve(options, config, { mesh, flows, certificates, discovery: () => discovery.status() });
      void serving?.then(({ waypoint }) => waypoint.configure(config));
    },
  });
  discovery.start();
  return {
    async stop() {
      discovery.stop();
      const running = await serving;
      if (running === null) return;
      for (const listener of running.listeners) listener.close();
      running.waypoint.drain();
      await running.hbone.drain(WAYPOINT.drainMs);
      running.close();
    },
  };
}

type Parts = { mesh: MeshState; flows: AttestedFlows; certificates: CertificateCache; discovery: () => DiscoveryStatus };

async function serve(
  options: WaypointProcessOptions,
  config: WaypointConfig,
  { mesh, flows, certificates, discovery }: Parts,
): Promise<Serving> {
  const { log } = options;
  const identity = { trustDomain: config.trustDomain, namespace: options.namespace, serviceAccount: options.serviceAccount };
  const credentials = { credentials: () => certificates.get(identity) };
  const tunnels = createClientPool({ dial, ...credentials, clock: systemClock, random: systemRandom, log });
  const waypoint = createWaypoint({
    self: { namespace: options.namespace, gateway: options.gateway, node: options.node, identity },
    mesh,
    effects: {
      clock: systemClock,
      random: systemRandom,
      log,
      newUuid: randomUUID,
      randomBytes,
      dialDirect: (_workload, ip, port) => dial(ip, port),
      tunnels,
      http2: nodeHttp2,
    },
  });
  const onTunnel = (tunnel: InboundTunnel): void => acceptTunnel(waypoint, tunnel, log);
  const hbone = createHboneServer({ ...credentials, trustDomain: config.trustDomain, onTunnel, clock: systemClock, log });
  const listeners = [
    await listen(PORT.hbone, (socket) => hbone.handle(socket)),
    await listen(PORT.waypoint, (socket) => acceptLocal(waypoint, flows, socket, log)),
  ];
  certificates.warm(identity); // ahead of the first tunnel
  log.info(
    { waypoint: `${options.namespace}/${options.gateway}`, services: config.services.length, version: options.version },
    'waypoint is serving',
  );
  readProcessMetrics(waypoint.meters, {
    component: 'proxy',
    version: options.version,
    certificates: () => certificates.snapshot(),
    discovery,
    clock: systemClock,
  });
  const metrics = await serveMetrics(waypoint.meters, WAYPOINT_PLACE, log);
  const close = (): void => {
    metrics.close();
    waypoint.close();
    hbone.close();
    tunnels.close(true);
  };
  return { waypoint, hbone, listeners, close };
}

function acceptTunnel(waypoint: Waypoint, tunnel: InboundTunnel, log: Log): void {
  const admission = waypoint.admit(tunnel.authority, tunnel.peer);
  if (admission.kind === 'refuse') {
    log.info({ flag: 'NR', authority: tunnel.authority, status: admission.status, details: admission.why }, 'refused a tunnel');
    tunnel.refuse(admission.status);
    return;
  }
  const client = forwardedClient(tunnel.forwarded, tunnel.remoteAddress) ?? { ip: tunnel.remoteAddress, port: tunnel.remotePort };
  waypoint.accept({
    stream: tunnel.accept(''),
    peer: tunnel.peer,
    peerAddress: client.ip,
    peerPort: client.port,
    dialled: admission.dialled,
  });
}

/** A connection of this node: only one that the kernel saw an enrolled workload open is served. */
function acceptLocal(waypoint: Waypoint, flows: AttestedFlows, socket: Socket, log: Log): void {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined || localAddress === undefined || localPort === undefined) {
    socket.destroy(); // reset before it was accepted
    return;
  }
  const remote = { ip: parseIp(remoteAddress), port: remotePort };
  const attestation = flows.find({ remote, local: { ip: parseIp(localAddress), port: localPort } });
  if (attestation === null) {
    log.warn({ 'src.addr': `${remote.ip}:${remote.port}` }, 'refused a connection that the kernel did not attest');
    socket.resetAndDestroy();
    return;
  }
  const { identity, dialled } = attestation;
  waypoint.accept({
    stream: socket,
    peer: identity,
    peerAddress: remote.ip,
    peerPort: remote.port,
    dialled: { address: dialled.ip, port: dialled.port },
  });
}

/** From this waypoint's own namespace: the kernel goes direct to an endpoint of this node. */
function dial(ip: IpAddress, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: ip, port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error(`connect ETIMEDOUT ${ip}:${port}`), { code: 'ETIMEDOUT' })),
      TUNNEL.connectTimeoutMs,
    );
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      socket.off('error', fail);
      finish();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    socket.once('error', fail);
    socket.once('connect', () => settle(() => resolve(socket)));
  });
}

/** Listens on every address, of IPv4 alone where there is no IPv6. */
async function listen(port: number, onConnection: (socket: Socket) => void): Promise<Server> {
  let failure: unknown;
  for (const host of WILDCARDS) {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onConnection);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, host, backlog: 4096 }, resolve);
      });
      return server;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
