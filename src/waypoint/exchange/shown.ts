import type { AttributeName, Facts, Value } from '#model/expression/attributes.ts';
import { connectionAttribute } from '#waypoint/connection/shown.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';

/** Fixed by Envoy: the bits of its flags, from the lowest one, in the order of their names. */
const FLAG_BITS = 'LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR'.split(
  ' ',
);

/** What an expression sees of a request that is over; headers as they are at its end. */
export function requestShown(exchange: Exchange, durationMs: number): Facts {
  const header = (name: string): string | undefined => {
    const values = exchange.request.headers.values(name);
    return values.length === 0 ? undefined : values.join(',');
  };
  return { attribute: (name) => attribute(name, exchange, durationMs, header), header };
}

/** What the client said; the rest is of the answer, and of the connection that carried both. */
function attribute(name: AttributeName, exchange: Exchange, durationMs: number, header: Facts['header']): Value | undefined {
  const { request } = exchange;
  switch (name) {
    // As the client wrote it, with its query: Envoy's words for the two are the other way round.
    case 'request.path':
      return request.target;
    case 'request.url_path':
      return exchange.path;
    case 'request.query':
      return exchange.query;
    case 'request.host':
      return request.authority;
    case 'request.scheme':
      return exchange.scheme;
    case 'request.method':
      return exchange.method;
    case 'request.referer':
      return header('referer');
    case 'request.useragent':
      return header('user-agent');
    case 'request.id':
      return exchange.requestId;
    case 'request.protocol':
      return request.version === 'http1' ? 'HTTP/1.1' : 'HTTP/2';
    case 'request.duration':
      return durationMs;
    case 'request.size':
      return exchange.bytesReceived;
    default:
      return (
        responseAttribute(name, exchange) ?? connectionAttribute(name, exchange.connection, exchange.attempt?.endpoint ?? null)
      );
  }
}

/** What became of it. Zero and '' stand for what there is not, and must not be compared as if they were said. */
function responseAttribute(
  name: AttributeName,
  { status, details, flag, grpcStatus, bytesSent, route }: Exchange,
): Value | undefined {
  switch (name) {
    case 'response.code':
      return status === 0 ? undefined : status;
    case 'response.code_details':
      return details === '' ? undefined : details;
    case 'response.flags':
      return flag.split(',').reduce((bits, one) => bits + (FLAG_BITS.includes(one) ? 2 ** FLAG_BITS.indexOf(one) : 0), 0);
    case 'response.grpc_status':
      return grpcStatus === null || !/^\d{1,2}$/.test(grpcStatus) ? undefined : Number(grpcStatus);
    case 'response.size':
      return bytesSent;
    case 'xds.route_name':
      return route?.name || undefined;
    default:
      return undefined;
  }
}
