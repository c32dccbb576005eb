import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { RawParentRef } from './route-parents.ts';

/** The default of `group` in a parent reference, and therefore wrong for Services. */
const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** What a schema cannot say of parentRefs. */
export function checkParents(parentRefs: readonly RawParentRef[]): Problem[] {
  const problems = parentRefs.flatMap((parent, at) => checkParent(parent, ['spec', 'parentRefs', at]));
  problems.push(...checkRepeatedParents(parentRefs));
  if (parentRefs.length === 0) {
    const message = 'a route without parents is attached to nothing: nothing is routed by it';
    const remedy = 'write parentRefs: [{ group: "", kind: Service, name: … }]';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'parentRefs'], message, remedy));
  }
  return problems;
}

/** Forgetting `group: ""` is the most common mistake of all: the route would attach to nothing. */
function checkParent({ group, kind }: RawParentRef, path: FieldPath): Problem[] {
  if (kind !== 'Service' || group !== GATEWAY_GROUP) return [];
  const message = `kind Service is in the core group, but group is ${GATEWAY_GROUP} (its default)`;
  return [errorAt('WEFT_FIELD_CONFLICT', path, message, 'add group: ""')];
}

/** Two references to one parent must differ in section or port, or one of them says nothing. */
function checkRepeatedParents(parents: readonly RawParentRef[]): Problem[] {
  const keyOf = ({ group, kind, namespace, name }: RawParentRef) => [group, kind, namespace ?? '', name].join('|');
  return parents.flatMap((parent, at) => {
    const same = parents.filter((other) => keyOf(other) === keyOf(parent));
    if (same.length < 2) return [];
    // One reference to the whole parent already covers each of its ports.
    const distinct = same.filter((other) => other.sectionName === parent.sectionName && other.port === parent.port).length === 1;
    if (distinct && same.every(({ sectionName, port }) => sectionName !== undefined || port !== undefined)) return [];
    const message = `${parent.kind} ${parent.name} is listed more than once`;
    const remedy = 'give each entry its own sectionName (the name of a port), or keep one';
    return [errorAt('WEFT_FIELD_CONFLICT', ['spec', 'parentRefs', at], message, remedy)];
  });
}
