import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import xxhash from 'xxhash-wasm';
import { formatCidr } from '#model/address/ip.ts';
import { type Authorization, policyKeyOf } from '#model/mesh/authorization.ts';
import { type Service, type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { AuthorizationSchema } from '#proto/authorization_pb.js';
import { WaypointConfigSchema } from '#proto/weft_pb.js';
import { AddressSchema } from '#proto/workload_pb.js';
import { authorizationToProto } from '#protocol/xds/authorization.ts';
import { LOCAL_NETWORK, serviceToProto } from '#protocol/xds/service.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from '#protocol/xds/type-urls.ts';
import { waypointConfigName, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { fieldOf } from '#protocol/xds/wire-field.ts';
import { workloadToProto } from '#protocol/xds/workload.ts';

/** A resource serialized once, whoever it is sent to. Immutable: a change makes a new one. */
export type EncodedResource = {
  name: string;
  /** '' for types without versions (Authorization). */
  version: string;
  /** The `Resource` message without aliases. */
  wire: Uint8Array;
  /** Other names an on-demand client may ask by: `<network>/<ip>`. */
  aliases: readonly string[];
  /** What on-demand subscriptions follow. */
  kind: 'workload' | 'service' | 'policy' | 'waypoint-config';
  /** Node of a workload; '' otherwise. */
  node: string;
  /** Services a workload belongs to; the service itself for a service. */
  services: readonly ServiceKey[];
};

// Field numbers of envoy.service.discovery.v3.Resource and google.protobuf.Any.
const RESOURCE = { version: 1, resource: 2, name: 3 } as const;
const ANY = { typeUrl: 1, value: 2 } as const;
/** Address.workload. */
const ADDRESS_WORKLOAD = 1;

/** A workload as an Address, named by its uid. */
export function encodeWorkload(workload: Workload): EncodedResource {
  const message = create(AddressSchema, { type: { case: 'workload', value: workloadToProto(workload) } });
  return {
    ...versioned(workload.uid, ADDRESS_TYPE, toBinary(AddressSchema, message)),
    // A host-network address belongs to the node, so it is no name of the workload.
    aliases: workload.hostNetwork ? [] : workload.addresses.map((address) => `${workload.network}/${address}`),
    kind: 'workload',
    node: workload.node,
    services: [...workload.services.keys()],
  };
}

/** A service as an Address, named `<namespace>/<hostname>`. */
export function encodeService(service: Service): EncodedResource {
  const message = create(AddressSchema, { type: { case: 'service', value: serviceToProto(service) } });
  const name = serviceKeyOf(service);
  return {
    ...versioned(name, ADDRESS_TYPE, toBinary(AddressSchema, message)),
    aliases: [...service.addresses, ...(service.blocks ?? []).map(formatCidr)].map((address) => `${LOCAL_NETWORK}/${address}`),
    kind: 'service',
    node: '',
    services: [name],
  };
}

/** A policy, named `<namespace>/<name>`. */
export function encodeAuthorization(policy: Authorization): EncodedResource {
  // With a version, which an istiod gives no policy: a client that says it on reconnecting is spared it, one that says none is not.
  return {
    ...versioned(policyKeyOf(policy), AUTHORIZATION_TYPE, toBinary(AuthorizationSchema, authorizationToProto(policy))),
    aliases: [],
    kind: 'policy',
    node: '',
    services: [],
  };
}

/** A waypoint's configuration, named `<namespace>/<gateway>`. */
export function encodeWaypointConfig(config: WaypointConfig): EncodedResource {
  const payload = toBinary(WaypointConfigSchema, waypointConfigToProto(config));
  return {
    ...versioned(waypointConfigName(config), WAYPOINT_CONFIG_TYPE, payload),
    aliases: [],
    kind: 'waypoint-config',
    node: '',
    services: [],
  };
}

/** The same workload as a resource of the legacy type; null for a service. The version stays that of the Address. */
export function asLegacyWorkload(address: EncodedResource): EncodedResource | null {
  if (address.kind !== 'workload') return null;
  const workload = fieldOf(fieldOf(fieldOf(address.wire, RESOURCE.resource), ANY.value), ADDRESS_WORKLOAD);
  const { name, version, aliases, kind, node, services } = address;
  return { name, version, aliases, kind, node, services, wire: resourceBytes(name, version, WORKLOAD_TYPE, workload) };
}

function versioned(name: string, typeUrl: TypeUrl, payload: Uint8Array): Pick<EncodedResource, 'name' | 'version' | 'wire'> {
  const version = contentVersion(payload);
  return { name, version, wire: resourceBytes(name, version, typeUrl, payload) };
}

function resourceBytes(name: string, version: string, typeUrl: TypeUrl, payload: Uint8Array): Uint8Array {
  const writer = new BinaryWriter();
  if (version !== '') writer.tag(RESOURCE.version, WireType.LengthDelimited).string(version);
  writer.tag(RESOURCE.resource, WireType.LengthDelimited).fork();
  writer.tag(ANY.typeUrl, WireType.LengthDelimited).string(typeUrl);
  writer.tag(ANY.value, WireType.LengthDelimited).bytes(payload).join();
  return writer.tag(RESOURCE.name, WireType.LengthDelimited).string(name).finish();
}

// Instantiating the module takes about a millisecond, once per process.
const { h64Raw } = await xxhash();

/**
 * Version of a resource: its bytes' xxHash64 (seed 0) in lower-case hexadecimal without leading zeros,
 * so replicas agree without talking. Source: docs/rules/control-plane.md.
 */
export function contentVersion(bytes: Uint8Array): string {
  return h64Raw(bytes, 0n).toString(16);
}
