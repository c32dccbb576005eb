import type { Endpoint } from '#control-plane/index/endpoint.ts';
import { LabelIndex, SelectorIndex } from '#control-plane/index/label-index.ts';
import { Registrations } from '#control-plane/index/registrations.ts';
import { ReverseIndex } from '#control-plane/index/reverse-index.ts';
import type { AuthorizationPolicyResource } from '#control-plane/resources/kinds/authorization-policy.ts';
import type { GatewayResource } from '#control-plane/resources/kinds/gateway.ts';
import type { HttpRouteResource } from '#control-plane/resources/kinds/http-route.ts';
import type { NamespaceResource } from '#control-plane/resources/kinds/namespace.ts';
import type { PeerAuthenticationResource } from '#control-plane/resources/kinds/peer-authentication.ts';
import type { ServiceResource } from '#control-plane/resources/kinds/service.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import type { IpAddress } from '#model/address/ip.ts';

/** Keys (`<namespace>/<name>`) of one kind, by namespace. */
export class KeyedByNamespace<Value> {
  readonly #values = new Map<string, Value>();
  readonly #namespaces = new Map<string, Set<string>>();

  get(key: string): Value | null {
    return this.#values.get(key) ?? null;
  }

  set(key: string, value: Value | null): void {
    const namespace = namespaceOf(key);
    const keys = this.#namespaces.get(namespace) ?? new Set();
    if (value === null) {
      this.#values.delete(key);
      keys.delete(key);
    } else {
      this.#values.set(key, value);
      keys.add(key);
    }
    if (keys.size === 0) this.#namespaces.delete(namespace);
    else this.#namespaces.set(namespace, keys);
  }

  keysIn(namespace: string): string[] {
    return [...(this.#namespaces.get(namespace) ?? [])];
  }

  namesIn(namespace: string): string[] {
    return this.keysIn(namespace)
      .map((key) => key.slice(namespace.length + 1))
      .sort();
  }

  valuesIn(namespace: string): Value[] {
    return this.keysIn(namespace).flatMap((key) => this.#values.get(key) ?? []);
  }

  keys(): Iterable<string> {
    return this.#values.keys();
  }

  get size(): number {
    return this.#values.size;
  }
}

/** The namespace in `<namespace>/<name>`. */
export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

/** Everything the index was told, with the look-ups that keep one change from touching all of it. */
export class MeshInputs {
  readonly namespaces = new Map<string, NamespaceResource>();
  /** Services of users, and those that waypoints need, by the same keys; the user's come first. */
  readonly userServices = new KeyedByNamespace<ServiceResource>();
  readonly waypointServices = new KeyedByNamespace<ServiceResource>();
  readonly endpoints = new Map<string, Endpoint>();
  readonly authorizations = new KeyedByNamespace<AuthorizationPolicyResource>();
  readonly peers = new KeyedByNamespace<PeerAuthenticationResource>();
  readonly gateways = new KeyedByNamespace<GatewayResource>();
  readonly routes = new KeyedByNamespace<HttpRouteResource>();

  readonly registrations = new Registrations();

  readonly endpointLabels = new LabelIndex();
  readonly serviceSelectors = new SelectorIndex();
  /** Policies that nodes attach to single workloads. */
  readonly policySelectors = new SelectorIndex();
  /** Service key → addresses its user gave it. */
  readonly addressClaims = new ReverseIndex();

  service(key: string): ServiceResource | null {
    return this.userServices.get(key) ?? this.waypointServices.get(key);
  }

  serviceKeysIn(namespace: string): Set<string> {
    return new Set([...this.userServices.keysIn(namespace), ...this.waypointServices.keysIn(namespace)]);
  }

  serviceNamesIn(namespace: string): string[] {
    return [...new Set([...this.userServices.namesIn(namespace), ...this.waypointServices.namesIn(namespace)])].sort();
  }

  namespaceLabels(namespace: string): Labels {
    return this.namespaces.get(namespace)?.metadata.labels ?? {};
  }

  /** Services that claim an address, in no order. */
  claimantsOf(address: IpAddress): ServiceResource[] {
    return this.addressClaims.ownersOf(address).flatMap((key) => this.userServices.get(key) ?? []);
  }
}
