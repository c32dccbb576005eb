import type { Finding } from '#control-plane/resources/finding.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { type FileEntry, readResourceFile } from './directory/resource-file.ts';

/** One document's say about one resource. */
export type Claim = {
  name: ResourceName;
  /** null: the document is invalid and this file never had a good version of it. */
  resource: Resource | null;
  line: number;
};

/** What one file provides. */
export type FileState = {
  text: string;
  /** In order of position. */
  claims: readonly Claim[];
  /**
   * Resources that the file provided before and no longer names, kept because a document in it cannot be
   * identified: it may be one of these.
   */
  kept: ReadonlyMap<ResourceName, Resource>;
  findings: readonly Finding[];
};

/** Reads a file; what cannot be read falls back on what the same file said before. */
export function readFileState(path: string, text: string, before: FileState | null, parser: ResourceParser): FileState {
  const { entries, findings } = readResourceFile(path, text, parser);
  const past = before === null ? new Map<ResourceName, Resource>() : providedBy(before);
  const claims = entries.flatMap((entry) => claimOf(entry, past));
  const named = new Set(claims.map(({ name }) => name));
  const hasUnidentified = entries.some(({ name }) => name === null);
  const kept = new Map(hasUnidentified ? [...past].filter(([name]) => !named.has(name)) : []);
  const told = findings.map((finding) => tellWhatStays(finding, entries, claims));
  return { text, claims, kept, findings: told };
}

function providedBy({ claims, kept }: FileState): Map<ResourceName, Resource> {
  const provided = new Map(kept);
  for (const { name, resource } of claims) if (resource !== null) provided.set(name, resource);
  return provided;
}

function claimOf({ name, resource, line }: FileEntry, past: ReadonlyMap<ResourceName, Resource>): Claim[] {
  if (name === null) return [];
  return [{ name, resource: resource ?? past.get(name) ?? null, line }];
}

/** Adds to the first error of a rejected document that its last good version is still in force. */
function tellWhatStays(finding: Finding, entries: readonly FileEntry[], claims: readonly Claim[]): Finding {
  const entry = entries.find(({ findings }) => findings.includes(finding));
  if (entry === undefined || entry.name === null || entry.resource !== null) return finding;
  const first = entry.findings.find(({ severity }) => severity === 'error') === finding;
  const stays = claims.some(({ name, resource }) => name === entry.name && resource !== null);
  return first && stays ? { ...finding, message: `${finding.message}; the last good version stays in force` } : finding;
}
