import type { ServerName } from '#model/trust/server-names.ts';

/** TLS that is spoken with whoever is outside of the mesh. */
export type OriginatedTls = {
  readonly kind: 'originate';
  /** What the server is asked for by (SNI); null: it is not told. */
  readonly serverName: string | null;
  /** The certificate must have one of these. */
  readonly names: readonly ServerName[];
  /** PEM of the authorities that are believed; null: those of the waypoint's machine. */
  readonly roots: string | null;
};

/** How endpoints outside of the mesh are spoken to. */
export type UpstreamTls =
  | OriginatedTls
  /** Not at all: what is to be encrypted cannot be, and must not go in clear. */
  | { readonly kind: 'refused'; readonly why: string };

/** `id` tells it from any other TLS that is or was asked for: connections are shared by those alone that ask for the same. */
export type DistinctTls = { readonly id: string; readonly wanted: UpstreamTls };

/** How one endpoint is spoken to. `none`: as it is, since the tunnel of the mesh encrypts, or nothing was asked for. */
export type EndpointTls = UpstreamTls | { readonly kind: 'none' };

const NONE: EndpointTls = { kind: 'none' };

/**
 * TLS for an endpoint: whoever takes tunnels has proved who it is and is not asked again (config-api 1.16, 4.2). What cannot be
 * encrypted is refused wherever it goes, for who takes no tunnel today may be the next endpoint.
 */
export function tlsTowards(tls: UpstreamTls | undefined, isMember: boolean): EndpointTls {
  if (tls === undefined) return NONE;
  return tls.kind === 'refused' || !isMember ? tls : NONE;
}
