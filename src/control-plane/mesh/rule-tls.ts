import { type ServerName, serverNameOf } from '#model/trust/server-names.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';

/** What a DestinationRule says of TLS to its host, of a port or of a subset. */
export type RuleTls =
  /** None, whatever the level above says. */
  | { readonly kind: 'none' }
  | { readonly kind: 'refused'; readonly why: string }
  /** Null, and no names: those of whatever host the rule is looked up for. */
  | { readonly kind: 'asked'; readonly serverName: string | null; readonly names: readonly ServerName[] };

/**
 * The same for a host; null: none. A server is who the rule says, else who its ServiceEntry says (`entryNames`), else the host itself. The
 * authorities are those of the machine: a rule can name no others.
 */
export function tlsTo(host: string, entryNames: readonly string[], asked: RuleTls | undefined): UpstreamTls | null {
  if (asked === undefined || asked.kind === 'none') return null;
  if (asked.kind === 'refused') return asked;
  // A host that stands for many is the name of none of them.
  const called = asked.serverName ?? (host.startsWith('*') ? null : host);
  const own = called === null ? [] : [serverNameOf(called)];
  const names = [asked.names, entryNames.map(serverNameOf), own].find(({ length }) => length > 0) ?? [];
  if (names.length === 0)
    return { kind: 'refused', why: `tls of its DestinationRule names no server, and ${host} stands for many` };
  // No server is asked for by an address (RFC 6066 3).
  return { kind: 'originate', serverName: own[0]?.kind === 'dns' ? called : null, names, roots: null };
}
