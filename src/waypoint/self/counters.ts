/** Totals since the start, and gauges named `open…`; read by whoever exports metrics. */
export class Counters {
  connections = 0;
  connectionsRefused = 0;
  openConnections = 0;
  http1Connections = 0;
  http2Connections = 0;
  tcpConnections = 0;
  tcpConnectionsDenied = 0;
  requests = 0;
  openRequests = 0;
  /** By the first digit of the status; [0]: no response was sent. */
  readonly responsesByClass: number[] = [0, 0, 0, 0, 0, 0];
  requestsDenied = 0;
  localReplies = 0;
  protocolErrors = 0;
  downstreamGone = 0;
  upstreamConnections = 0;
  upstreamConnectFailures = 0;
  upstreamReuses = 0;
  upstreamRetries = 0;
  bytesReceived = 0;
  bytesSent = 0;
}
