import { create } from '@bufbuild/protobuf';
import { bytesToIp, ipToBytes } from '#model/address/ip.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';
import { type GatewayAddress as GatewayAddressMessage, GatewayAddressSchema } from '#proto/workload_pb.js';
import { rejectResource } from '#protocol/xds/resource-fault.ts';

/** The wire form of where a waypoint is reached; undefined (field absent) for null, never an empty message (C17). */
export function gatewayAddressToProto(gateway: GatewayAddress | null): GatewayAddressMessage | undefined {
  if (gateway === null) return undefined;
  const hboneMtlsPort = gateway.hbonePort;
  if (gateway.kind === 'hostname') {
    const value = { namespace: gateway.namespace, hostname: gateway.hostname };
    return create(GatewayAddressSchema, { destination: { case: 'hostname', value }, hboneMtlsPort });
  }
  const value = { network: gateway.network, address: ipToBytes(gateway.address) };
  return create(GatewayAddressSchema, { destination: { case: 'address', value }, hboneMtlsPort });
}

/** null when the field is absent. Errors: WEFT_XDS_RESOURCE without a destination or with a bad address. */
export function gatewayAddressFromProto(field: string, message: GatewayAddressMessage | undefined): GatewayAddress | null {
  if (message === undefined) return null;
  const hbonePort = message.hboneMtlsPort === 0 ? PORT.hbone : message.hboneMtlsPort & 0xffff;
  const { destination } = message;
  switch (destination.case) {
    case 'hostname':
      return { kind: 'hostname', namespace: destination.value.namespace, hostname: destination.value.hostname, hbonePort };
    case 'address': {
      const { network, address } = destination.value;
      return { kind: 'address', network, address: bytesToIp(address), hbonePort };
    }
    default:
      return rejectResource(`${field} has no destination`);
  }
}
