import { errorAt, type Finding, fileOrigin, findingOf } from '#control-plane/resources/finding.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { FileState } from '#control-plane/sources/file-state.ts';

/** The version of a resource that is in force, and where it comes from. */
export type Winner = { resource: Resource; file: string; line: number };

type Claimant = { file: string; line: number; resource: Resource | null };

/**
 * Decides which document speaks for each resource. `files` is in order of path; `before` is what was in
 * force until now: it stays where every document that names a resource is invalid (moved and broken at once).
 */
export function chooseWinners(
  files: ReadonlyMap<string, FileState>,
  before: ReadonlyMap<ResourceName, Winner>,
): { winners: ReadonlyMap<ResourceName, Winner>; findings: readonly Finding[] } {
  const winners = new Map<ResourceName, Winner>();
  const findings: Finding[] = [];
  for (const [name, claimants] of claimantsByName(files)) {
    const first = claimants[0];
    const speaker = claimants.find(({ resource }) => resource !== null) ?? first;
    const resource = speaker?.resource ?? before.get(name)?.resource ?? null;
    if (speaker !== undefined && resource !== null) winners.set(name, { resource, file: speaker.file, line: speaker.line });
    findings.push(...duplicates(name, claimants));
  }
  for (const [file, { kept }] of files) {
    for (const [name, resource] of kept) if (!winners.has(name)) winners.set(name, { resource, file, line: 1 });
  }
  return { winners, findings };
}

function claimantsByName(files: ReadonlyMap<string, FileState>): Map<ResourceName, Claimant[]> {
  const byName = new Map<ResourceName, Claimant[]>();
  for (const [file, { claims }] of files) {
    for (const { name, line, resource } of claims) {
      const claimant = { file, line, resource };
      const known = byName.get(name);
      if (known === undefined) byName.set(name, [claimant]);
      else known.push(claimant);
    }
  }
  return byName;
}

function duplicates(name: ResourceName, [first, ...others]: readonly Claimant[]): Finding[] {
  if (first === undefined) return [];
  return others.map(({ file, line }) => {
    const message = `already described at ${first.file}:${first.line}; the document here is ignored`;
    const problem = errorAt('WEFT_RESOURCE_DUPLICATE', [], message, 'remove one of the two, or rename it');
    return findingOf(problem, name, fileOrigin(file, { line, column: 1 }));
  });
}
