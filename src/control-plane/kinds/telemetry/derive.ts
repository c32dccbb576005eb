import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { TARGET_READS, targetName, whyNotEnforced } from '#control-plane/mesh/policy-targets.ts';
import { SERVICE_BINDINGS } from '#control-plane/mesh/services.ts';
import { ATTACHED_TELEMETRY, namespaceLevel, telemetryAbout } from '#control-plane/mesh/telemetries.ts';
import { WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import type { TelemetryResource } from './schema.ts';

/** Telemetries as they were read. */
export const TELEMETRIES = tableOf<TelemetryResource>()('telemetries');

/** Each of them where it is in force. */
export const attachedTelemetry = defineDerivation({
  name: 'telemetry',
  each: TELEMETRIES,
  reads: [],
  writes: [ATTACHED_TELEMETRY],
  derive({ key, value: { metadata, selects, targets, spec } }) {
    // Nodes tell nothing by it, and a waypoint is chosen by targets, as for policies.
    if (selects) return [];
    const { namespace } = metadata;
    const about = targets.length === 0 ? [namespaceLevel(namespace)] : targets.map((target) => targetName(target, namespace));
    return [entry(ATTACHED_TELEMETRY, key, { metadata, spec, about })];
  },
});

/** What becomes of each; apart, because services ask whether they have any. */
export const telemetryStatus = defineDerivation({
  name: 'telemetry status',
  each: TELEMETRIES,
  reads: [ATTACHED_TELEMETRY, ...TARGET_READS],
  writes: [...STATUS],
  derive({ value: telemetry }, mesh) {
    const { metadata, selects, targets } = telemetry;
    const resource = nameOfResource(telemetry);
    const untraced = tracedByNobody(telemetry, mesh.options);
    // The table of fields has told it.
    if (selects) return [];
    if (targets.length === 0) {
      const lost = unheard(telemetry, namespaceLevel(metadata.namespace), ['spec'], mesh);
      const problems = lost === null ? heardByNobody(metadata.namespace, mesh) : [lost.problem];
      return statusOf(resource, [], [...problems, ...untraced]);
    }
    const misses = targets.flatMap((target, at): Miss[] => {
      const path = ['spec', 'targetRefs', at];
      const miss = whyNotEnforced(target, metadata.namespace, mesh);
      if (miss === null) {
        const lost = unheard(telemetry, targetName(target, metadata.namespace), path, mesh);
        return lost === null ? [] : [lost];
      }
      const { reason, message, remedy } = miss;
      const code = reason === 'TargetNotFound' ? 'WEFT_REFERENCE_UNRESOLVED' : 'WEFT_NOT_ENFORCED';
      return [{ reason, problem: warningAt(code, path, message, remedy) }];
    });
    const problems = misses.map(({ problem }) => problem);
    const [first] = misses;
    const type = 'WaypointAccepted';
    const condition =
      first === undefined
        ? trueCondition(resource, type, 'Accepted', 'in force at the waypoints')
        : falseCondition(resource, type, first.reason, problems.map(({ message }) => message).join('; '));
    return statusOf(resource, [condition], [...problems, ...untraced]);
  },
});

/** Why nothing comes of it for one of its targets. */
type Miss = { readonly reason: string; readonly problem: Problem };

/** Of several that are about the same, the oldest is heard; null: this one is. */
function unheard(
  { metadata }: TelemetryResource,
  about: string,
  path: FieldPath,
  mesh: MeshReader<typeof ATTACHED_TELEMETRY>,
): Miss | null {
  const winner = telemetryAbout(about, mesh)?.metadata ?? metadata;
  if (winner.namespace === metadata.namespace && winner.name === metadata.name) return null;
  const message = `Telemetry ${winner.namespace}/${winner.name} is older, and already says what is told of ${about}`;
  return { reason: 'Conflicted', problem: warningAt('WEFT_NOT_ENFORCED', path, message, 'merge the two') };
}

/** Whoever writes one expects that something tells by it; of the mesh, that may be a waypoint that is yet to come. */
function heardByNobody(namespace: string, mesh: MeshReader<typeof WAYPOINTS | typeof SERVICE_BINDINGS>): Problem[] {
  if (namespace === mesh.options.rootNamespace) return [];
  const waypoints = mesh.keysBy(WAYPOINTS, 'namespace', namespace);
  const bound = mesh.keysBy(SERVICE_BINDINGS, 'namespace', namespace);
  if (waypoints.length + bound.length > 0) return [];
  const message = `waypoints tell by it, nodes do not: namespace ${namespace} has no waypoint, and its services go through none`;
  const remedy = 'label the namespace or its services istio.io/use-waypoint: <gateway>';
  return [warningAt('WEFT_MATCHES_NOTHING', ['spec'], message, remedy)];
}

/** Where no collector is named, requests are not traced at all, whatever share is asked for. */
function tracedByNobody({ spec }: TelemetryResource, { traced }: MeshOptions): Problem[] {
  if (spec.tracing === null || traced) return [];
  const message = 'no collector is named: waypoints that run here trace nothing, and headers of traces pass as they came';
  return [warningAt('WEFT_FIELD_IGNORED', ['spec', 'tracing'], message, 'name one with --trace-collector of weft control')];
}
