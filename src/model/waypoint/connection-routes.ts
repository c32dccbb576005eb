import type { ServiceKey } from '#model/mesh/service.ts';

/** Which connections a route means; null parts restrict nothing, parts are ANDed. */
export type ConnectionMatch = {
  /** The ports of the service that were dialled. */
  readonly ports: readonly number[] | null;
  /** Names that a client of TLS asks for, in lower case: `a.b` or `*.b`. Who asks for none is not meant. */
  readonly serverNames: readonly string[] | null;
  /** Addresses and blocks, one of which was dialled. */
  readonly subnets: readonly string[] | null;
  /** Of the client's verified identity. */
  readonly clientNamespace: string | null;
};

/** A share of the connections. */
export type ConnectionBackend = {
  /** null: the reference does not resolve, its share is refused. */
  readonly service: ServiceKey | null;
  readonly port: number;
  /** Only the endpoints that are called so in `WaypointService.subsets`. */
  readonly subset?: string;
  readonly weight: number;
};

/** One route of connections that are not HTTP: of several the first that matches is taken. */
export type ConnectionRoute = {
  /** ORed; empty: every connection. */
  readonly matches: readonly ConnectionMatch[];
  /** Empty, or of no weight: refused. */
  readonly backends: readonly ConnectionBackend[];
};
