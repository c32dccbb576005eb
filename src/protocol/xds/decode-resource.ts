import { fromBinary } from '@bufbuild/protobuf';
import { unreachable } from '#model/error.ts';
import type { Authorization } from '#model/mesh/authorization.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { AuthorizationSchema } from '#proto/authorization_pb.js';
import { WaypointConfigSchema } from '#proto/weft_pb.js';
import { AddressSchema, WorkloadSchema } from '#proto/workload_pb.js';
import { authorizationFromProto } from '#protocol/xds/authorization.ts';
import { readingResource, rejectResource } from '#protocol/xds/resource-fault.ts';
import { serviceFromProto } from '#protocol/xds/service.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from '#protocol/xds/type-urls.ts';
import { waypointConfigFromProto } from '#protocol/xds/waypoint-config.ts';
import { workloadFromProto } from '#protocol/xds/workload.ts';

/** One resource as the mesh model knows it. */
export type DecodedResource =
  | { kind: 'workload'; workload: Workload }
  | { kind: 'service'; service: Service }
  | { kind: 'policy'; policy: Authorization }
  | { kind: 'waypoint-config'; config: WaypointConfig };

/** Errors: WEFT_XDS_RESOURCE as `<name>: <reason>`; that resource alone is then left out. */
export function decodeResource(typeUrl: TypeUrl, name: string, bytes: Uint8Array): DecodedResource {
  return readingResource(name, () => decode(typeUrl, bytes));
}

function decode(typeUrl: TypeUrl, bytes: Uint8Array): DecodedResource {
  switch (typeUrl) {
    case ADDRESS_TYPE:
      return decodeAddress(bytes);
    case WORKLOAD_TYPE:
      return { kind: 'workload', workload: workloadFromProto(fromBinary(WorkloadSchema, bytes)) };
    case AUTHORIZATION_TYPE:
      return { kind: 'policy', policy: authorizationFromProto(fromBinary(AuthorizationSchema, bytes)) };
    case WAYPOINT_CONFIG_TYPE:
      return { kind: 'waypoint-config', config: waypointConfigFromProto(fromBinary(WaypointConfigSchema, bytes)) };
    default:
      return unreachable(typeUrl);
  }
}

function decodeAddress(bytes: Uint8Array): DecodedResource {
  const { type } = fromBinary(AddressSchema, bytes);
  switch (type.case) {
    case 'workload':
      return { kind: 'workload', workload: workloadFromProto(type.value) };
    case 'service':
      return { kind: 'service', service: serviceFromProto(type.value) };
    default:
      return rejectResource('address is neither a workload nor a service');
  }
}
