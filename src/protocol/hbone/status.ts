/** Statuses that answer a CONNECT (spec node-proxy section 2.3); sent with END_STREAM unless `open`. */
export const TUNNEL_STATUS = {
  /** Policy allowed it and the app is connected. */
  open: 200,
  /** Not a CONNECT, no usable authority, or an address that is not ours to serve. */
  badRequest: 400,
  /** Refused by an authorization policy. */
  denied: 401,
  /** Unknown workload, service or port, an illegal port, or the app did not answer. */
  unavailable: 503,
} as const;

/** What a status means to the one who asked for a tunnel, for errors and logs. */
export function describeTunnelStatus(status: number): string {
  switch (status) {
    case TUNNEL_STATUS.open:
      return 'open';
    case TUNNEL_STATUS.badRequest:
      return 'the peer does not serve this address';
    case TUNNEL_STATUS.denied:
      return 'denied by an authorization policy of the destination';
    case TUNNEL_STATUS.unavailable:
      return 'the destination workload or port is not reachable';
    default:
      return `http status ${status}`;
  }
}
