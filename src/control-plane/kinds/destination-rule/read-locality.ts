import type { Scope } from '#model/mesh/service.ts';
import type { Locality } from '#model/waypoint/destination-settings.ts';
import type { RawLocality } from './schema.ts';

/** Fixed by Istio and Kubernetes: the labels of where something runs. */
export const SCOPE_OF_LABEL: Readonly<Record<string, Scope>> = {
  'topology.istio.io/network': 'network',
  'topology.istio.io/cluster': 'cluster',
  'topology.kubernetes.io/region': 'region',
  'topology.kubernetes.io/zone': 'zone',
  'topology.istio.io/subzone': 'subzone',
  'kubernetes.io/hostname': 'node',
};

/** What is not written is on, as the mesh has it by itself. The check has refused what goes ill together. */
export function readLocality(written: RawLocality = {}): Locality {
  const { enabled, distribute = [], failover = [], failoverPriority = [] } = written;
  // Whatever lists stand beside it: whoever switches it off may keep them for later.
  if (enabled === false) return { kind: 'off' };
  if (distribute.length > 0) {
    const shares = distribute.map(({ from = '', to = {} }) => ({
      from,
      to: Object.entries(to).map(([place, weight]) => ({ place, weight })),
    }));
    return { kind: 'distribute', shares };
  }
  if (failover.length > 0) return { kind: 'failover', regions: failover.map(({ from = '', to = '' }) => ({ from, to })) };
  const scopes = readScopes(failoverPriority);
  return scopes.length > 0 ? { kind: 'priority', scopes } : { kind: 'nearest' };
}

/** As far as the first label that says nothing here of where something runs: what comes after it would count for more than it. */
function readScopes(labels: readonly string[]): (Locality & { kind: 'priority' })['scopes'] {
  const read = labels.map((text) => {
    const { label, value } = splitLabel(text);
    // Waypoints are told where endpoints run, and none of their labels.
    const scope = SCOPE_OF_LABEL[label];
    return scope === undefined ? null : { scope, value };
  });
  const end = read.indexOf(null);
  return (end < 0 ? read : read.slice(0, end)).filter((one) => one !== null);
}

/** `label`, of which the waypoint's own value is meant, or `label=value`. */
export function splitLabel(text: string): { label: string; value: string | null } {
  const at = text.indexOf('=');
  return at < 0 ? { label: text, value: null } : { label: text.slice(0, at), value: text.slice(at + 1) };
}
