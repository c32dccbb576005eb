import { checkBackendPort, type RawBackendRef, readBackendRef } from '#control-plane/mesh/route-backends.ts';
import { checkParents } from '#control-plane/mesh/route-parent-check.ts';
import { type RawParentRef, readParent } from '#control-plane/mesh/route-parents.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { L4RouteKind, L4RouteResource } from './l4-routes.ts';

// TCPRoute, UDPRoute and TLSRoute are the same but for what they route.

/** The document, once its schema has passed: one rule exactly. */
export type RawL4Route = {
  metadata: RawMetadata;
  spec: {
    parentRefs?: RawParentRef[];
    rules: { name?: string; backendRefs: RawBackendRef[] }[];
  };
};

/** What the schema cannot say. `each`: what is routed one by one. */
export function checkL4Route({ spec: { parentRefs = [], rules } }: RawL4Route, each: 'connection' | 'flow'): Problem[] {
  const problems = checkParents(parentRefs);
  for (const [at, { backendRefs }] of rules.entries()) {
    const path = ['spec', 'rules', at, 'backendRefs'];
    problems.push(...backendRefs.flatMap((backend, index) => checkBackendPort(backend, [...path, index])));
    if (backendRefs.some(({ weight }) => weight > 0)) continue;
    const message = `every backend has weight 0, so each ${each} is refused`;
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, 'give at least one backend a weight above 0'));
  }
  return problems;
}

/** References are completed with the namespace of the route, and not looked up yet. */
export function readL4Route<Kind extends L4RouteKind>(
  kind: Kind,
  { spec: { parentRefs = [], rules } }: RawL4Route,
  metadata: Metadata,
): L4RouteResource<Kind> {
  const { namespace } = metadata;
  return {
    kind,
    metadata,
    parents: parentRefs.map((parent) => readParent(parent, namespace)),
    backends: (rules[0]?.backendRefs ?? []).map((backend) => readBackendRef(backend, namespace)),
  };
}
