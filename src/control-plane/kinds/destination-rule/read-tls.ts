import type { RuleTls } from '#control-plane/mesh/rule-tls.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { serverNameOf } from '#model/trust/server-names.ts';
import type { RawTls } from './schema.ts';

/** What a waypoint cannot do: a field, and why. */
type Obstacle = { field: keyof RawTls; why: string; remedy: string };

const BY_POLICY = 'name the authorities in a BackendTLSPolicy';

/** Null: nothing is said, and what the level above says holds. Absence of a mode is DISABLE, as in Istio. */
export function readTls(tls: RawTls | undefined): RuleTls | null {
  if (tls === undefined) return null;
  if (!asks(tls)) return { kind: 'none' };
  const [obstacle] = obstacles(tls);
  if (obstacle !== undefined) return { kind: 'refused', why: `tls.${obstacle.field} of its DestinationRule: ${obstacle.why}` };
  const { sni = '', subjectAltNames = [] } = tls;
  return { kind: 'asked', serverName: sni === '' ? null : sni, names: subjectAltNames.map(serverNameOf) };
}

/** The rule stays in force, and sends nothing where it asks for what cannot be done: in clear it must not go. */
export function checkTls(tls: RawTls | undefined, path: FieldPath): Problem[] {
  if (tls === undefined || !asks(tls)) return [];
  return obstacles(tls).map(({ field, why, remedy }) =>
    warningAt('WEFT_NOT_ENFORCED', [...path, 'tls', field], `${why}: nothing is sent`, remedy),
  );
}

/** ISTIO_MUTUAL is what the mesh does with its members, whatever is written. */
function asks({ mode }: RawTls): boolean {
  return mode === 'SIMPLE' || mode === 'MUTUAL';
}

function obstacles({ mode, insecureSkipVerify, credentialName = '', caCertificates = '', caCrl = '' }: RawTls): Obstacle[] {
  const all: (Obstacle | null)[] = [
    mode === 'MUTUAL'
      ? {
          field: 'mode',
          why: 'a waypoint has no certificate to show outside of the mesh',
          remedy: 'write SIMPLE, or let the application speak TLS',
        }
      : null,
    insecureSkipVerify === true
      ? { field: 'insecureSkipVerify', why: 'a server that proves nothing may be anybody', remedy: `remove it, and ${BY_POLICY}` }
      : null,
    credentialName === ''
      ? null
      : { field: 'credentialName', why: 'a waypoint reads no Secrets', remedy: `remove it, and ${BY_POLICY}` },
    caCertificates === ''
      ? null
      : { field: 'caCertificates', why: 'a waypoint reads no files that rules name', remedy: `remove it, and ${BY_POLICY}` },
    caCrl === '' ? null : { field: 'caCrl', why: 'a waypoint reads no lists of revoked certificates', remedy: 'remove it' },
  ];
  return all.filter((one) => one !== null);
}
