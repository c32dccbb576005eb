import { errorAt, type FieldPath, type Finding, fileOrigin, findingOf, type Position } from '#control-plane/resources/finding.ts';
import { findingsOf, type ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { Entry } from '#control-plane/sources/ledger.ts';
import { readYamlDocuments, type YamlDocument } from './yaml-documents.ts';

/** One resource of a file: a document, or an item of a document of kind List. */
export type FileEntry = Entry & { locate(path: FieldPath): Position };

/** What a file says. Documents of kinds that Weft does not read appear in `findings` only. */
export type ResourceFile = { entries: readonly FileEntry[]; findings: readonly Finding[] };

/** Reads every document of a YAML file; a broken one does not disturb the others. Never throws on bad input. */
export function readResourceFile(file: string, text: string, parser: ResourceParser): ResourceFile {
  const entries: FileEntry[] = [];
  const findings: Finding[] = [];
  // Each document by itself: a broken one costs its neighbours nothing.
  for (const document of readYamlDocuments(text)) {
    for (const part of partsOf(document)) {
      const entry = readPart(part, document, file, parser);
      if (entry.kind === 'entry') entries.push(entry.entry);
      findings.push(...entry.findings);
    }
  }
  return { entries, findings };
}

type Part = { base: FieldPath; object: unknown };

/** `kubectl get -o yaml` wraps resources into a List. */
function partsOf({ content }: YamlDocument): Part[] {
  if (content.kind === 'broken') return [{ base: [], object: null }];
  const { value } = content;
  if (isList(value)) return value.items.map((object, at) => ({ base: ['items', at], object }));
  return [{ base: [], object: value }];
}

function isList(value: unknown): value is { items: unknown[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    value.kind === 'List' &&
    'items' in value &&
    Array.isArray(value.items)
  );
}

type PartReading =
  | { kind: 'entry'; entry: FileEntry; findings: readonly Finding[] }
  | { kind: 'foreign'; findings: readonly Finding[] };

function readPart({ base, object }: Part, document: YamlDocument, file: string, parser: ResourceParser): PartReading {
  const locate = (path: FieldPath, part?: 'value' | 'key') => document.locate([...base, ...path], part);
  const origin = fileOrigin(file, { line: locate([]).line, column: 1 });
  // It may be any resource that the file described before: nobody can tell which (name: null).
  if (document.content.kind === 'broken') {
    const findings = document.content.mistakes.map(({ message, position }) => syntaxFinding(message, file, position));
    return { kind: 'entry', entry: { name: null, resource: null, origin, findings, locate }, findings };
  }
  const reading = parser.read(object);
  // `locate` begins at the part: for an item of a List the path inside the item is what its author wrote.
  const findings = findingsOf(reading, (path, part) => fileOrigin(file, locate(path, part)));
  if (reading.kind === 'foreign') return { kind: 'foreign', findings };
  const resource = reading.kind === 'resource' ? reading.resource : null;
  return { kind: 'entry', entry: { name: reading.name, resource, origin, findings, locate }, findings };
}

function syntaxFinding(message: string, file: string, position: Position): Finding {
  const remedy = 'mend the YAML at this place; the last good version of what this file provides stays in force';
  return findingOf(errorAt('WEFT_YAML_SYNTAX', [], message, remedy), '', fileOrigin(file, position));
}
