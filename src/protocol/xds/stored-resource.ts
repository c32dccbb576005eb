import { BinaryReader } from '@bufbuild/protobuf/wire';
import { bytesToIp } from '#model/address/ip.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { NetworkMode } from '#proto/workload_pb.js';
import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#protocol/xds/type-urls.ts';
import { fieldOf } from '#protocol/xds/wire-field.ts';

// Field numbers of envoy.service.discovery.v3.Resource, google.protobuf.Any and what of istio.workload leads to an address.
const RESOURCE = { version: 1, resource: 2, name: 3 } as const;
const ANY = { typeUrl: 1, value: 2 } as const;
const ADDRESS = { workload: 1, service: 2 } as const;
const WORKLOAD = { addresses: 3, network: 4, node: 9, services: 22, networkMode: 25 } as const;
const SERVICE = { addresses: 4 } as const;
const NETWORK_ADDRESS = { network: 1, address: 2 } as const;
const MAP_KEY = 1;

/** By what a resource is found beside its name. */
type Links = Pick<EncodedResource, 'aliases' | 'kind' | 'node' | 'services'>;

/**
 * A resource of which the bytes alone are kept: what else there is to know of it is read from them when it is asked for, which is
 * seldom. It was encoded by us; of other bytes this knows nothing.
 */
export class StoredResource implements EncodedResource {
  readonly wire: Uint8Array;
  #name: string | null;
  #links: Links | null = null;

  /** name null: it is in the bytes, too. */
  constructor(wire: Uint8Array, name: string | null = null) {
    this.wire = wire;
    this.#name = name;
  }

  get name(): string {
    this.#name ??= textOf(fieldOf(this.wire, RESOURCE.name));
    return this.#name;
  }

  get version(): string {
    return textOf(fieldOf(this.wire, RESOURCE.version));
  }

  get kind(): EncodedResource['kind'] {
    return this.#link().kind;
  }

  get node(): string {
    return this.#link().node;
  }

  get aliases(): readonly string[] {
    return this.#link().aliases;
  }

  get services(): readonly ServiceKey[] {
    return this.#link().services;
  }

  #link(): Links {
    this.#links ??= linksOf(this.wire, this.name);
    return this.#links;
  }
}

function linksOf(wire: Uint8Array, name: string): Links {
  const any = fieldOf(wire, RESOURCE.resource);
  const typeUrl = textOf(fieldOf(any, ANY.typeUrl));
  const none = { aliases: [], node: '', services: [] };
  if (typeUrl !== ADDRESS_TYPE) return { ...none, kind: typeUrl === AUTHORIZATION_TYPE ? 'policy' : 'waypoint-config' };
  const address = fieldOf(any, ANY.value);
  const reader = new BinaryReader(address);
  const [which] = reader.tag();
  const body = reader.bytes();
  if (which === ADDRESS.workload) return workloadLinks(body);
  return { ...none, kind: 'service', aliases: which === ADDRESS.service ? serviceAliases(body) : [], services: [name] };
}

function workloadLinks(body: Uint8Array): Links {
  const reader = new BinaryReader(body);
  const [addresses, services]: [string[], ServiceKey[]] = [[], []];
  let [network, node, isOfHost] = ['', '', false];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === WORKLOAD.addresses) addresses.push(bytesToIp(reader.bytes()));
    else if (field === WORKLOAD.network) network = reader.string();
    else if (field === WORKLOAD.node) node = reader.string();
    else if (field === WORKLOAD.services) services.push(textOf(fieldOf(reader.bytes(), MAP_KEY)));
    else if (field === WORKLOAD.networkMode) isOfHost = reader.int32() === NetworkMode.HOST_NETWORK;
    else reader.skip(wireType, field);
  }
  return { kind: 'workload', node, services, aliases: isOfHost ? [] : addresses.map((address) => `${network}/${address}`) };
}

function serviceAliases(body: Uint8Array): string[] {
  const reader = new BinaryReader(body);
  const aliases: string[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === SERVICE.addresses) {
      const address = reader.bytes();
      const network = textOf(fieldOf(address, NETWORK_ADDRESS.network));
      aliases.push(`${network}/${bytesToIp(fieldOf(address, NETWORK_ADDRESS.address))}`);
    } else reader.skip(wireType, field);
  }
  return aliases;
}

const UTF8 = new TextDecoder();

function textOf(bytes: Uint8Array): string {
  return UTF8.decode(bytes);
}
