import type { MeshReader } from '#control-plane/index/derivation.ts';
import { serviceHostname } from '#control-plane/index/mesh-options.ts';
import { appProtocolOf } from '#control-plane/mesh/app-protocol.ts';
import { ATTACHED_GRPC_ROUTES } from '#control-plane/mesh/attachments.ts';
import { type Attachment, type Refusal, type RouteMesh, refusal } from '#control-plane/mesh/route-parents.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';
import type { FieldPath } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';

/** What claims look at. */
export type ClaimMesh = RouteMesh & MeshReader<typeof ATTACHED_GRPC_ROUTES>;

/** Which of the ports of a parent a kind of route gets: a port has routes of one kind only (config-api 1.12). */
export type Claim = {
  readonly reads: readonly (typeof ATTACHED_GRPC_ROUTES)[];
  ports(attachment: Attachment, path: FieldPath, mesh: ClaimMesh): Attachment | Refusal;
};

/** A GRPCRoute goes before every other kind. Without a port it is at those where gRPC may be spoken. */
export const GRPC_CLAIM: Claim = {
  reads: [],
  ports(attachment, path) {
    if (attachment.ports !== null) return attachment;
    const { service } = attachment;
    const fitting = service.ports.filter(
      (port) => port.protocol === 'TCP' && ['grpc', 'http2', 'unknown'].includes(appProtocolOf(port)),
    );
    if (fitting.length > 0) return { ...attachment, ports: fitting.map(({ port }) => port) };
    const message = `${nameOfResource(service)} has no port that carries gRPC`;
    return refusal(path, message, 'write appProtocol: grpc at the port, or name the port in parentRefs');
  },
};

/** An HTTPRoute gets what no GRPCRoute has. */
export const HTTP_CLAIM: Claim = {
  reads: [ATTACHED_GRPC_ROUTES],
  ports(attachment, path, mesh) {
    const { service } = attachment;
    const others = mesh.valuesBy(ATTACHED_GRPC_ROUTES, 'service', keyOf(service, mesh));
    if (others.length === 0) return attachment;
    const taken = (port: number) => others.some(({ route }) => route.ports?.includes(port) ?? true);
    const meant = attachment.ports ?? service.ports.map(({ port }) => port);
    const free = meant.filter((port) => !taken(port));
    if (free.length > 0) return { ...attachment, ports: free };
    const winners = others.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(', ');
    const message = `it loses to GRPCRoute ${winners} on ${nameOfResource(service)} port ${meant.join(', ')}: GRPCRoute outranks HTTPRoute`;
    return refusal(path, message, 'use different ports or a single kind of route', 'Conflicted');
  },
};

function keyOf({ metadata: { namespace, name } }: ServiceResource, mesh: ClaimMesh): string {
  return serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, mesh.options) });
}
