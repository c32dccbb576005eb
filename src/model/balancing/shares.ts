import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type L4Route, type Service, serviceKeyOf, type Transport } from '#model/mesh/service.ts';

/** A part of the connections to a service port: to a port of a service, or refused when there is none. */
export type Share = { readonly service: Service | null; readonly port: number; readonly weight: number };

/** A port of a service, as it is dialled. */
export type ServicePlace = { readonly service: Service; readonly port: number; readonly transport: Transport };

/**
 * Where connections to a port of a service go, and how often: by the route that holds for clients of a namespace, or to the
 * service itself. Routes of the services that one leads to are not followed. One share at least; none has weight 0.
 */
export function sharesOf(mesh: MeshState, place: ServicePlace, clientNamespace: string): Share[] {
  const route = routeOf(place, clientNamespace);
  if (route === null) return [{ service: place.service, port: place.port, weight: 1 }];
  const weighted = route.shares.filter(({ weight }) => weight > 0);
  if (weighted.length === 0) return [{ service: null, port: place.port, weight: 1 }];
  return weighted.map(({ service: key, port, weight }) => ({
    service: serviceWithPort(mesh, key, port, place.transport),
    port,
    weight,
  }));
}

/** Whether it depends on the client's namespace where connections go. */
export function hasConsumerRoute({ service, port, transport }: ServicePlace): boolean {
  return service.routes.some((one) => one.port === port && one.transport === transport && one.clientNamespace !== null);
}

function routeOf({ service, port, transport }: ServicePlace, clientNamespace: string): L4Route | null {
  const here = service.routes.filter((one) => one.port === port && one.transport === transport);
  const own = here.find((one) => one.clientNamespace === clientNamespace);
  return own ?? here.find((one) => one.clientNamespace === null) ?? null;
}

function serviceWithPort(mesh: MeshState, key: string | null, port: number, transport: Transport): Service | null {
  const service = key === null ? null : mesh.service(key);
  const ports = transport === 'tcp' ? service?.ports : service?.datagramPorts;
  return service !== null && ports?.some(({ servicePort }) => servicePort === port) ? service : null;
}

/** Whether the shares are anything else than the service itself. */
export function isRouted(shares: readonly Share[], { service, port }: ServicePlace): boolean {
  const [only] = shares;
  const key = serviceKeyOf(service);
  return !(shares.length === 1 && only?.service != null && serviceKeyOf(only.service) === key && only.port === port);
}
