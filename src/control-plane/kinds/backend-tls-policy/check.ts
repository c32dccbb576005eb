import { checkBackendTargets } from '#control-plane/mesh/backend-targets.ts';
import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import type { RawTlsPolicy } from './schema.ts';

const VALIDATION = ['spec', 'validation'];

/** What the schema states in CEL about a BackendTLSPolicy. */
export function checkTlsPolicy({ spec: { targetRefs, validation } }: RawTlsPolicy): Problem[] {
  return [
    ...checkBackendTargets(targetRefs),
    ...checkTwice(targetRefs),
    ...checkAuthorities(validation),
    ...checkNames(validation),
  ];
}

/** Of one target each port may be named once, or all of it. */
function checkTwice(targetRefs: RawTlsPolicy['spec']['targetRefs']): Problem[] {
  const names = targetRefs.map(({ group, kind, name, sectionName = '' }) => `${group}/${kind}/${name}#${sectionName}`);
  return names.flatMap((name, at): Problem[] => {
    if (names.indexOf(name) === at) return [];
    const remedy = 'name each target, or each port of it by sectionName, once';
    return [errorAt('WEFT_FIELD_CONFLICT', ['spec', 'targetRefs', at], 'this target is named twice', remedy)];
  });
}

function checkAuthorities({ caCertificateRefs = [], wellKnownCACertificates }: RawTlsPolicy['spec']['validation']): Problem[] {
  const isWellKnown = wellKnownCACertificates !== undefined;
  if (caCertificateRefs.length > 0 !== isWellKnown) return [];
  const message = isWellKnown ? 'both caCertificateRefs and wellKnownCACertificates' : 'nobody is named who certifies the server';
  const remedy = 'write either caCertificateRefs, or wellKnownCACertificates: System';
  return [errorAt('WEFT_FIELD_CONFLICT', VALIDATION, message, remedy)];
}

/** A name of each type stands in a field of its own. */
function checkNames({ subjectAltNames = [] }: RawTlsPolicy['spec']['validation']): Problem[] {
  return subjectAltNames.flatMap(({ type, hostname, uri }, at): Problem[] => {
    const [wanted, value, other] = type === 'URI' ? (['uri', uri, hostname] as const) : (['hostname', hostname, uri] as const);
    if (value !== undefined && other === undefined) return [];
    const message = `a name of type ${type} is written in ${wanted}, and nothing beside`;
    return [errorAt('WEFT_FIELD_CONFLICT', [...VALIDATION, 'subjectAltNames', at], message, `write ${wanted} alone`)];
  });
}
