import { errorAt, type FieldPath, type Finding, fileOrigin, findingOf, type Position } from '#control-plane/resources/finding.ts';
import { DEFAULT_NAMESPACE } from '#control-plane/resources/metadata.ts';
import { findingsOf, type ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { StandIn } from '#control-plane/resources/stand-in.ts';
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
      const entry = readPart(part, document, { file, parser });
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

type FileContext = { file: string; parser: ResourceParser };

function readPart({ base, object }: Part, document: YamlDocument, { file, parser }: FileContext): PartReading {
  const locate = (path: FieldPath, part?: 'value' | 'key') => document.locate([...base, ...path], part);
  const origin = fileOrigin(file, { line: locate([]).line, column: 1 });
  // It may be any resource that the file described before: nobody can tell which (name: null).
  if (document.content.kind === 'broken') {
    const findings = document.content.mistakes.map(({ message, position }) => syntaxFinding(message, file, position));
    const standIns = standInsOf(document.content.text, `${file}:${document.line}`, parser);
    return { kind: 'entry', entry: { name: null, resource: null, origin, findings, standIns, locate }, findings };
  }
  const reading = parser.read(object, namelessAt(`${file}:${locate([]).line}`));
  // `locate` begins at the part: for an item of a List the path inside the item is what its author wrote.
  const findings = findingsOf(reading, (path, part) => fileOrigin(file, locate(path, part)));
  if (reading.kind === 'foreign') return { kind: 'foreign', findings };
  const { name } = reading;
  if (reading.kind === 'resource') {
    const { resource, document: from } = reading;
    return { kind: 'entry', entry: { name, resource, document: from, origin, findings, locate }, findings };
  }
  const standIns = reading.standIn === null ? [] : [reading.standIn];
  return { kind: 'entry', entry: { name, resource: null, standIns, origin, findings, locate }, findings };
}

/** What stands for a text at `place` that cannot be read: for each restriction that it names, the widest of its namespace. */
export function standInsOf(text: string, place: string, parser: ResourceParser): StandIn[] {
  return headsOf(text).flatMap(({ kind, namespace }, at) => {
    return parser.standInFor(kind, namespace ?? DEFAULT_NAMESPACE, namelessAt(`${place}-${at}`)) ?? [];
  });
}

/** What stands for a document without a name is called after its place, so that a log line leads to it. */
function namelessAt(place: string): string {
  return `unreadable-${place.replace(/[^A-Za-z0-9.-]+/g, '-')}`;
}

function syntaxFinding(message: string, file: string, position: Position): Finding {
  const remedy = 'mend the YAML at this place; the last good version of what this file provides stays in force';
  return findingOf(errorAt('WEFT_YAML_SYNTAX', [], message, remedy), '', fileOrigin(file, position));
}

/** All that could be made out of a document that cannot be read: which kind it is of, and whose namespace it speaks for. */
type ResourceHead = { kind: string; namespace: string | null };

/** A document's beginning, a `kind`, or a `namespace`, as YAML or JSON writes them, at any depth. */
const WORDS = /^---(?=\s|$)|\bkind["']?\s*:\s*["']?([A-Za-z]+)|\bnamespace["']?\s*:\s*["']?([A-Za-z0-9.-]+)/gm;

/**
 * What a text that is no YAML most likely was: each kind it names, with each namespace that is named in the same document. It
 * may find too much (the kind of a target, say), which then restricts too much: a text that cannot be read says no less.
 */
function headsOf(text: string): ResourceHead[] {
  const heads = new Map<string, ResourceHead>();
  let kinds = new Set<string>();
  let namespaces = new Set<string>();
  const close = (): void => {
    for (const kind of kinds)
      for (const namespace of namespaces.size === 0 ? [null] : namespaces)
        heads.set(`${kind} ${namespace ?? ''}`, { kind, namespace });
    kinds = new Set();
    namespaces = new Set();
  };
  for (const [, kind, namespace] of text.matchAll(WORDS)) {
    if (kind !== undefined) kinds.add(kind);
    else if (namespace !== undefined) namespaces.add(namespace);
    else close();
  }
  close();
  return [...heads.values()];
}
