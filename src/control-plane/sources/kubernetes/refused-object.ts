import type { Condition } from '#control-plane/index/index-delta.ts';
import { WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import type { Reading } from '#control-plane/sources/ledger.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** Why an object is refused, in one text; null: it is not. */
export function refusalOf({ entries, findings }: Reading): string | null {
  if (entries.every(({ resource }) => resource !== null)) return null;
  return findings
    .filter(({ severity }) => severity === 'error')
    .slice(0, RESOURCE.messagesMax)
    .map(textOf)
    .join('; ');
}

function textOf({ fieldPath, message, remedy }: Finding): string {
  return `${fieldPath === '' ? '' : `${fieldPath}: `}${message} (${remedy})`;
}

/** What the status of a refused object says in place of what follows from its last good version. */
export function conditionsOfRefused(name: ResourceName, kind: string, spec: unknown, why: string): Condition[] {
  const refused = (type: string, reason: string): Condition => ({ resource: name, type, status: 'False', reason, message: why });
  switch (kind) {
    case 'HTTPRoute':
    case 'TCPRoute':
      return [refused('Accepted', 'UnsupportedValue')];
    case 'Gateway':
      if (!WAYPOINT_CLASSES.includes(String(fieldOf(spec, 'gatewayClassName')))) return [];
      return [refused('Accepted', 'Invalid'), refused('Programmed', 'Invalid')];
    case 'AuthorizationPolicy':
      return hasTargets(spec) ? [refused('WaypointAccepted', 'Invalid')] : forNodes(refused);
    case 'PeerAuthentication':
      return forNodes(refused);
    default:
      return [];
  }
}

function forNodes(refused: (type: string, reason: string) => Condition): Condition[] {
  return ['ZtunnelAccepted', 'weft.dev/NodeProxyAccepted'].map((type) => refused(type, 'Invalid'));
}

function hasTargets(spec: unknown): boolean {
  const [refs, ref] = [fieldOf(spec, 'targetRefs'), fieldOf(spec, 'targetRef')];
  return (Array.isArray(refs) && refs.length > 0) || ref !== undefined;
}
