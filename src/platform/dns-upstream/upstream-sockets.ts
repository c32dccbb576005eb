import { createSocket, type Socket } from 'node:dgram';
import { connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Nameserver } from '#platform/dns-upstream/resolv-conf.ts';

/**
 * Makes the sockets that queries go out by. A query of a workload should leave from that workload's network namespace, so
 * that what restricts its network restricts its DNS; a nameserver on loopback, though, is only reachable from the agent's own.
 */
export type UpstreamSockets = {
  /** A fresh datagram socket, not yet connected: each query gets a port of its own. The caller closes it. */
  udp(nameserver: Nameserver, workload: string): Promise<Socket>;
  /** A connecting or connected stream; it fails by its `error` event. The caller destroys it. */
  tcp(nameserver: Nameserver, workload: string): Promise<Duplex>;
};

/** Sockets of the network namespace this process runs in, whatever the workload. */
export const ownNamespaceSockets: UpstreamSockets = {
  udp: async (nameserver) => createSocket(isIP(nameserver.address) === 6 ? 'udp6' : 'udp4'),
  tcp: async (nameserver) => connect({ host: nameserver.address, port: nameserver.port, noDelay: true }),
};
