import { defineKind } from '#control-plane/index/kind-definition.ts';
import { type ServicePortResource, type ServiceResource, USER_SERVICES } from '#control-plane/mesh/services.ts';
import { boundStatus } from '#control-plane/resources/cluster-kind.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import { familyOf, tryParseIp } from '#model/address/ip.ts';
import { affinityTimeoutS, aliasedName, checkService, clusterIpsOf, isHeadless } from './check.ts';
import { serviceBindings, services, userServices } from './derive.ts';
import { SERVICE_FIELDS } from './fields.ts';
import { type RawService, type RawServicePort, SERVICE_SCHEMA } from './schema.ts';

/** How a Service is read. */
export const serviceKind = defineKind({
  kind: 'Service',
  group: '',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'built-in', schema: SERVICE_SCHEMA },
  unknownFields: 'warning',
  fields: SERVICE_FIELDS,
  check: checkService,
  read: readService,
  cluster: { status: boundStatus('applied'), keep: keepService },
  resources: USER_SERVICES,
  derivations: [userServices, serviceBindings, services],
});

/**
 * The API server's own Service is reached as without a mesh: its endpoints are no pods, and whoever is refused there can repair nothing
 * (K65).
 */
function keepService({ metadata, spec, status }: Readonly<Record<string, unknown>>): Record<string, unknown> | null {
  const isApiServer = fieldOf(metadata, 'namespace') === 'default' && fieldOf(metadata, 'name') === 'kubernetes';
  return isApiServer ? null : { spec, ...(status === undefined ? {} : { status }) };
}

/** Families follow from the addresses where they are not written. */
function readService({ spec }: RawService, metadata: Metadata): ServiceResource {
  const externalName = spec.type === 'ExternalName' ? aliasedName(spec) : null;
  // An alias has no address, whatever is written there.
  const addresses =
    externalName !== null
      ? []
      : clusterIpsOf(spec)
          .map(tryParseIp)
          .filter((ip) => ip !== null);
  // An empty selector picks nothing, as in Kubernetes; it does not pick everything.
  const selector = spec.selector ?? {};
  return {
    kind: 'Service',
    metadata,
    externalName,
    headless: isHeadless(spec),
    addresses,
    ipFamilies: spec.ipFamilies?.map((family) => (family === 'IPv4' ? 4 : 6)) ?? addresses.map(familyOf),
    selector: Object.keys(selector).length === 0 ? null : selector,
    ports: (spec.ports ?? []).map(readPort),
    nodeLocal: spec.internalTrafficPolicy === 'Local',
    trafficDistribution: spec.trafficDistribution ?? null,
    publishNotReadyAddresses: spec.publishNotReadyAddresses === true,
    affinityTimeoutS: spec.sessionAffinity === 'ClientIP' ? affinityTimeoutS(spec) : 0,
  };
}

/** A target of 0 or none is the port itself. */
function readPort({ name, port, targetPort, protocol, appProtocol }: RawServicePort): ServicePortResource {
  return { name: name ?? '', port, target: targetPort || port, protocol: protocol ?? 'TCP', appProtocol: appProtocol ?? null };
}
