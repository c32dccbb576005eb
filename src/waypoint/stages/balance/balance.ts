import type { Random } from '#model/effects/clock.ts';
import type { AppProtocol } from '#model/mesh/service.ts';
import { pickLeastLoaded } from '#model/routing/least-request.ts';
import type { HttpVersion, RequestHead } from '#protocol/http/message.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { NEXT, replyWith, type Stage, type StageResult } from '#waypoint/exchange/stage.ts';
import { familyFor, type Upstreams } from '#waypoint/upstream/upstreams.ts';

/** Chooses the endpoint, and the HTTP version it is spoken to in. */
export function balanceStage(upstreams: Upstreams, random: Random): Stage {
  return {
    name: 'balance',
    request(exchange) {
      const result = choose(exchange, upstreams, random);
      if (exchange.endpoint !== null) exchange.endpoint.active++;
      return result;
    },
    end(exchange) {
      if (exchange.endpoint !== null) exchange.endpoint.active--;
    },
  };
}

function choose(exchange: Exchange, upstreams: Upstreams, random: Random): StageResult {
  const { target, connection, request } = exchange;
  const { destination } = connection;
  if (target?.kind === 'service') {
    const service = upstreams.service(target.service, target.port, familyFor(destination.address));
    if (service === null) return replyWith(REPLY.invalidBackend);
    exchange.endpoint = pickLeastLoaded(service.set, random);
    exchange.upstreamVersion = upstreamVersion(service.appProtocol, request);
  } else if (destination.kind === 'workload') {
    exchange.endpoint = upstreams.workload(destination.workload, destination.address, destination.port);
    exchange.upstreamVersion = upstreamVersion('unknown', request);
  }
  return exchange.endpoint === null ? replyWith(REPLY.noHealthyUpstream) : NEXT;
}

/** W27: as the port declares; as the client speaks where it does not. */
function upstreamVersion(appProtocol: AppProtocol, request: RequestHead): HttpVersion {
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
