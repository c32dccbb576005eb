import type { ClusterKind } from '#control-plane/resources/cluster-kind.ts';
import { errorAt, type FieldPath, findingOf, formatFieldPath, objectOrigin } from '#control-plane/resources/finding.ts';
import { findingsOf, type ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { Reading } from '#control-plane/sources/ledger-unit.ts';
import { messageOf } from '#model/error.ts';
import type { Origin } from '#protocol/api/control.ts';
import { type KubeObject, objectKey } from '#protocol/kubernetes/objects.ts';

/** The unit of a ledger that an object is: `<kind> <namespace>/<name>`. */
export function unitOf(kind: string, key: string): string {
  return `${kind} ${key}`;
}

/**
 * What an object says. Never throws: an object that cannot be read is a finding.
 */
export function readObject(object: KubeObject, cluster: ClusterKind, parser: ResourceParser): Reading {
  const { kind, metadata } = object;
  const document = documentOf(object, cluster);
  const nameless = `${kind}-${objectKey({ metadata })}`;
  try {
    const reading = parser.read(document, nameless);
    const originAt = (path: FieldPath): Origin =>
      reading.kind !== 'foreign' && reading.name !== null ? objectOrigin(reading.name, path) : placeOf(object, path);
    const findings = findingsOf(reading, originAt);
    if (reading.kind === 'foreign') return { entries: [], findings };
    const entry = { name: reading.name, origin: originAt([]), findings };
    if (reading.kind === 'resource')
      return { entries: [{ ...entry, resource: reading.resource, document: reading.document }], findings };
    const standIns = reading.standIn === null ? [] : [reading.standIn];
    return { entries: [{ ...entry, resource: null, standIns }], findings };
  } catch (error) {
    const problem = errorAt(
      'WEFT_RESOURCE_SHAPE',
      [],
      `it cannot be read: ${messageOf(error)}`,
      'report this mistake of the program',
    );
    const finding = findingOf(problem, unitOf(kind, objectKey({ metadata })), placeOf(object, []));
    return { entries: [{ name: null, resource: null, origin: finding.origin, findings: [finding] }], findings: [finding] };
  }
}

/** Of a status only what says something to us: the rest is written by controllers, us among them. */
function documentOf({ status, ...rest }: KubeObject, { readStatus }: ClusterKind): object {
  const said = readStatus?.(status);
  return said === undefined ? rest : { ...rest, status: said };
}

function placeOf({ kind, metadata: { namespace = '', name } }: KubeObject, path: FieldPath): Origin {
  return { kind: 'object', object: { kind, namespace, name }, fieldPath: formatFieldPath(path) };
}
