import { errorAt, type Finding, findingOf, formatOrigin } from '#control-plane/resources/finding.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { Origin } from '#protocol/api/control.ts';

/** What an entry of a unit says, as far as it matters here. */
type Rejectable = { name: ResourceName | null; resource: Resource | null; findings: readonly Finding[] };

/** What is told of a resource that is described several times: a finding for each description but the first, which counts. */
export function duplicates(name: ResourceName, [first, ...others]: readonly { origin: Origin }[]): Finding[] {
  if (first === undefined) return [];
  return others.map(({ origin }) => {
    const message = `already described ${whereOf(first.origin)}; the document here is ignored`;
    return findingOf(errorAt('WEFT_RESOURCE_DUPLICATE', [], message, 'remove one of the two, or rename it'), name, origin);
  });
}

function whereOf(origin: Origin): string {
  return origin.kind === 'file' ? `at ${origin.file}:${origin.line}` : `by another object, ${formatOrigin(origin)}`;
}

/** Adds to the first error of a rejected entry that its last good version is still in force. */
export function tellWhatStays(finding: Finding, entry: Rejectable | undefined, staying: ReadonlySet<ResourceName>): Finding {
  if (entry === undefined || entry.name === null || entry.resource !== null) return finding;
  const first = firstError(entry.findings) === finding;
  return first && staying.has(entry.name)
    ? { ...finding, message: `${finding.message}; the last good version stays in force` }
    : finding;
}

/** The one that rejected its entry; a misspelt kind is a warning only. */
export function firstError(findings: readonly Finding[]): Finding | undefined {
  return findings.find(({ severity }) => severity === 'error') ?? findings[0];
}
