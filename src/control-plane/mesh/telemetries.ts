import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { byAge, type Metadata } from '#control-plane/resources/metadata.ts';
import { rulesOf, type TelemetryRules, type TelemetrySpec } from '#model/telemetry/rules.ts';

/** What a Telemetry says, with what it is about: `Namespace shop`, or names of targets as those of policies. */
export type AttachedTelemetry = {
  readonly metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>;
  readonly spec: TelemetrySpec;
  readonly about: readonly string[];
};

/** Telemetries, by `<namespace>/<name>`; found by what they are about. */
export const ATTACHED_TELEMETRY = tableOf<AttachedTelemetry>()('attached-telemetry', { by: { about: ({ about }) => about } });

type TelemetryMesh = MeshReader<typeof ATTACHED_TELEMETRY>;

/** What is said of all of a namespace; of the root namespace: of the mesh. */
export function namespaceLevel(namespace: string): string {
  return `Namespace ${namespace}`;
}

/** Which of several Telemetries counts that are about the same: the oldest (config-api 5.1). Null: there is none. */
export function telemetryAbout(about: string, mesh: TelemetryMesh): AttachedTelemetry | null {
  const { rootNamespace } = mesh.options;
  return (
    mesh
      .valuesBy(ATTACHED_TELEMETRY, 'about', about)
      // A class reaches every namespace: only the root namespace may speak for it.
      .filter(({ metadata }) => !about.startsWith('GatewayClass ') || metadata.namespace === rootNamespace)
      .toSorted(byAge)[0] ?? null
  );
}

/** Where a waypoint runs, and of which class it is. */
type Runner = { readonly namespace: string; readonly name: string; readonly className: string };

/**
 * What a waypoint tells: the mesh, its own namespace and the service's, then its class, the Gateway and the service say so, the later
 * before the earlier. `service` null: of the workloads that are dialled themselves. Null: as by default.
 */
export function waypointTelemetry(
  { namespace, name, className }: Runner,
  service: { readonly namespace: string; readonly owner: string } | null,
  mesh: TelemetryMesh,
): TelemetryRules | null {
  const namespaces = [mesh.options.rootNamespace, namespace, ...(service === null ? [] : [service.namespace])];
  const levels = [
    ...new Set(namespaces.map(namespaceLevel)),
    `GatewayClass ${className}`,
    `Gateway ${namespace}/${name}`,
    ...(service === null ? [] : [service.owner]),
  ];
  // Of services in the waypoint's own namespace, or in the root's, one level stands for two.
  const specs = levels.flatMap((level) => telemetryAbout(level, mesh)?.spec ?? []);
  const rules = rulesOf(specs, 'server');
  return Object.keys(rules).length === 0 ? null : rules;
}
