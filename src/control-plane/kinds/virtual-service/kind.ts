import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { checkVirtualService } from './check.ts';
import { attachedVirtualServices, virtualServiceStatus } from './derive.ts';
import { VIRTUAL_SERVICES } from './destinations.ts';
import { VIRTUAL_SERVICE_FIELDS } from './fields.ts';
import { MESH_GATEWAY, readRule } from './read.ts';
import { readConnections } from './read-connections.ts';
import type { VirtualServiceResource } from './resource.ts';
import type { RawVirtualService } from './schema.ts';
import { standInForVirtualService } from './stand-in.ts';

/** How a VirtualService is read: waypoints route requests by it. */
export const virtualServiceKind = defineKind<RawVirtualService, VirtualServiceResource>({
  kind: 'VirtualService',
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  namespaced: true,
  schema: { kind: 'crd', file: 'networking.istio.io_virtualservices.yaml' },
  unknownFields: 'error',
  fields: VIRTUAL_SERVICE_FIELDS,
  check: checkVirtualService,
  read: readVirtualService,
  standIn: standInForVirtualService,
  resources: VIRTUAL_SERVICES,
  derivations: [attachedVirtualServices, virtualServiceStatus],
});

/** References are not looked up yet. */
function readVirtualService({ spec = {} }: RawVirtualService, metadata: Metadata): VirtualServiceResource {
  const { hosts = [], gateways = [], exportTo = [], http = [], tcp = [], tls = [] } = spec;
  const title = `VirtualService ${metadata.namespace}/${metadata.name}`;
  return {
    kind: 'VirtualService',
    metadata,
    hosts: hosts.map((host) => host.toLowerCase()),
    gateways: gateways.length === 0 ? [MESH_GATEWAY] : gateways,
    exportTo,
    http: hosts.length === 0 ? [] : http.map((rule) => readRule(rule, title, metadata.namespace)),
    delegated: hosts.length === 0 ? http : [],
    connections: [...readConnections('tls', tls), ...readConnections('tcp', tcp)],
  };
}
