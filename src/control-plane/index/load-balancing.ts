import { ANNOTATION } from '#control-plane/index/well-known.ts';
import type { ServiceResource } from '#control-plane/resources/kinds/service.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import type { LoadBalancing } from '#model/mesh/service.ts';

/**
 * How endpoints of a service are preferred: internalTrafficPolicy, then trafficDistribution, then the annotation
 * of the service, then that of its namespace; null when none says anything. A fresh object per service.
 */
export function loadBalancingOf(service: ServiceResource, namespaceAnnotations: Labels): LoadBalancing | null {
  const preference = preferenceOf(service, namespaceAnnotations);
  if (!service.publishNotReadyAddresses) return preference;
  return { ...(preference ?? { mode: 'unspecified', routingPreference: [] }), allowUnhealthy: true };
}

function preferenceOf(service: ServiceResource, namespaceAnnotations: Labels): LoadBalancing | null {
  if (service.nodeLocal) return { mode: 'strict', routingPreference: ['node'], allowUnhealthy: false };
  const wanted =
    service.trafficDistribution ??
    service.metadata.annotations[ANNOTATION.trafficDistribution] ??
    namespaceAnnotations[ANNOTATION.trafficDistribution];
  switch (wanted?.toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return { mode: 'failover', routingPreference: ['network', 'region', 'zone'], allowUnhealthy: false };
    case 'prefersamenode':
      return {
        mode: 'failover',
        routingPreference: ['network', 'region', 'zone', 'subzone', 'node'],
        allowUnhealthy: false,
      };
    default:
      // An unknown value means any endpoint; it does not fall through to a wider setting.
      return null;
  }
}
