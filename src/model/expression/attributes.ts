/** What a value is: times are milliseconds, and headers are asked for one by one. */
export type ValueType = 'truth' | 'number' | 'text' | 'time' | 'list' | 'headers';

/**
 * What an expression can see, by Envoy's names (config-api 5.1). Of what a request to a waypoint does not have, or what nobody there
 * knows, nothing is made up: it is no attribute here.
 */
export const ATTRIBUTES = {
  'request.path': 'text',
  'request.url_path': 'text',
  'request.host': 'text',
  'request.scheme': 'text',
  'request.method': 'text',
  'request.headers': 'headers',
  'request.referer': 'text',
  'request.useragent': 'text',
  'request.id': 'text',
  'request.protocol': 'text',
  'request.query': 'text',
  'request.duration': 'time',
  'request.size': 'number',
  'response.code': 'number',
  'response.code_details': 'text',
  'response.flags': 'number',
  'response.grpc_status': 'number',
  'response.size': 'number',
  'source.address': 'text',
  'source.port': 'number',
  'destination.address': 'text',
  'destination.port': 'number',
  'connection.mtls': 'truth',
  'connection.uri_san_peer_certificate': 'text',
  'upstream.address': 'text',
  'upstream.port': 'number',
  'xds.route_name': 'text',
} as const satisfies Readonly<Record<string, ValueType>>;

/** One of them. */
export type AttributeName = keyof typeof ATTRIBUTES;

/** A value of an expression. */
export type Value = boolean | number | string | readonly Value[];

/** What one request or connection shows; undefined: it does not have that. */
export type Facts = {
  attribute(name: AttributeName): Value | undefined;
  /** All values of a header of the request, joined; `name` in lower case. */
  header(name: string): string | undefined;
};
