import type { AppProtocol } from '#model/mesh/service.ts';
import type { HttpVersion, RequestHead } from '#protocol/http/message.ts';

/** W27: as the port declares; as the client speaks where it does not. */
export function upstreamVersion(appProtocol: AppProtocol, request: RequestHead): HttpVersion {
  if (request.upgrade !== null) return 'http1';
  switch (appProtocol) {
    case 'http2':
    case 'grpc':
      return 'http2';
    case 'http11':
      return 'http1';
    default:
      return request.version;
  }
}
