/** What a field of a log line holds. */
type FieldMeaning = string;

/**
 * Fields of an access-log line, the agent's and the waypoint's alike, in the order in which they are written:
 * ztunnel's names for the connection, Envoy's (Istio's JSON log) for the request.
 */
export const ACCESS_FIELDS = {
  'src.addr': 'address and port of the client',
  'src.workload': 'name of the workload that opened the connection',
  'src.namespace': 'its namespace',
  'src.identity': 'its SPIFFE identity, when a handshake or the kernel proved it',
  'dst.addr': 'address and port on the wire: port 15008 for a tunnel',
  'dst.hbone_addr': 'what the CONNECT of the tunnel asks for',
  'dst.service': 'hostname of the service',
  'dst.workload': 'name of the workload that serves it',
  'dst.namespace': 'its namespace',
  'dst.identity': 'its SPIFFE identity, when a handshake or the kernel proved it',
  downstream_local_address: 'what the client dialled',
  direction: 'outbound (told by the agent of the client) or inbound (by that of the server); none at a waypoint',
  method: 'HTTP method',
  path: 'path of the request, without its query',
  protocol: 'HTTP/1.1 or HTTP/2',
  authority: 'host and port that the request names',
  request_id: 'x-request-id',
  route_name: 'the route rule that applied',
  response_code: 'HTTP status; 0 when no response was sent',
  grpc_status: 'gRPC status, of gRPC requests only',
  bytes_sent: 'bytes that the reporter sent: to the server when outbound, else to the client; bodies only for HTTP',
  bytes_recv: 'bytes of the other direction',
  duration: 'from the first byte to the end, such as 13ms',
  response_flags: 'why it did not simply end; - when it did',
  cause: 'why it was refused or cut; a label value of weft_refusals_total',
  policy: '<namespace>/<name> of the authorization policy that decided',
  rule: 'index of the rule in that policy',
  error: 'what went wrong, as a sentence',
  response_code_details: "what decided the response, in Envoy's words",
} as const satisfies Readonly<Record<string, FieldMeaning>>;

/** A field of an access-log line. */
export type AccessField = keyof typeof ACCESS_FIELDS;
