import { create } from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import type { L4Route, RouteShare, Service, Transport } from '#model/mesh/service.ts';
import {
  type L4Route as L4RouteMessage,
  type RouteShare as RouteShareMessage,
  ServiceTrafficSchema,
  Transport as TransportNumber,
} from '#proto/weft_pb.js';
import { type Extension, ExtensionSchema } from '#proto/workload_pb.js';
import { knownEnum, rejectResource, wireEnum } from '#protocol/xds/resource-fault.ts';

/** Of ours, since workload discovery knows no routes: other proxies pass over it, and no other control plane sends it. */
const TRAFFIC_EXTENSION = 'weft.dev/traffic';

const TRANSPORTS = new Map<number, Transport>([
  [TransportNumber.TCP, 'tcp'],
  [TransportNumber.UDP, 'udp'],
]);

/** What of a service travels in the extension. */
export type ServiceTraffic = Pick<Service, 'routes' | 'datagramPorts' | 'affinityTimeoutS'>;

/** The extension; null where it would say nothing. */
export function trafficToProto({ routes, datagramPorts, affinityTimeoutS }: ServiceTraffic): Extension | null {
  if (routes.length === 0 && datagramPorts.length === 0 && affinityTimeoutS === 0) return null;
  const message = create(ServiceTrafficSchema, {
    routes: routes.map(routeToProto),
    datagramPorts: [...datagramPorts],
    affinityTimeoutS,
  });
  const config = anyPack(ServiceTrafficSchema, message);
  return create(ExtensionSchema, { name: TRAFFIC_EXTENSION, config });
}

/** Errors: WEFT_XDS_RESOURCE for one that cannot be used. */
export function trafficFromProto(extensions: readonly Extension[]): ServiceTraffic {
  const config = extensions.find(({ name }) => name === TRAFFIC_EXTENSION)?.config;
  if (config === undefined) return { routes: [], datagramPorts: [], affinityTimeoutS: 0 };
  const message = anyUnpack(config, ServiceTrafficSchema);
  if (message === undefined) rejectResource(`extension ${TRAFFIC_EXTENSION} holds ${config.typeUrl}`);
  const datagramPorts = message.datagramPorts.map(({ servicePort, targetPort }) => ({
    servicePort: servicePort & 0xffff,
    targetPort: targetPort & 0xffff,
  }));
  return { routes: message.routes.map(routeFromProto), datagramPorts, affinityTimeoutS: message.affinityTimeoutS };
}

function routeToProto({ transport, port, clientNamespace, shares }: L4Route) {
  return {
    transport: wireEnum(TRANSPORTS, transport),
    port,
    clientNamespace: clientNamespace ?? '',
    shares: shares.map((share) => ({ ...share, service: share.service ?? '' })),
  };
}

function routeFromProto({ transport, port, clientNamespace, shares }: L4RouteMessage): L4Route {
  return {
    transport: knownEnum('transport', transport, TRANSPORTS),
    port: port & 0xffff,
    clientNamespace: clientNamespace === '' ? null : clientNamespace,
    shares: shares.map(shareFromProto),
  };
}

function shareFromProto({ service, port, weight }: RouteShareMessage): RouteShare {
  return { service: service === '' ? null : service, port: port & 0xffff, weight };
}
