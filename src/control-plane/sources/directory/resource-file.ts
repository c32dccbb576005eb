import {
  errorAt,
  type FieldPath,
  type Finding,
  fileOrigin,
  findingOf,
  type Position,
  type Problem,
  warningAt,
} from '#control-plane/resources/finding.ts';
import { DEFAULT_NAMESPACE } from '#control-plane/resources/metadata.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { findingsOf, type ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { StandIn } from '#control-plane/resources/stand-in.ts';
import type { Entry, Reading } from '#control-plane/sources/ledger-unit.ts';
import type { Origin } from '#protocol/api/control.ts';
import { cutDocuments, type RawDocument, readRawDocument, type YamlDocument } from './yaml-documents.ts';

/** What a document says: one resource, or those of a List. Kinds that Weft does not read appear in `findings` only. */
export type DocumentReading = Pick<Reading, 'entries' | 'findings'>;

/** What the documents of a file say, for as long as its text has this hash. */
export type FileReading = { path: string; hash: string; readings: readonly DocumentReading[] };

/** Where the fields of a resource are. */
export type Places = (path: FieldPath) => Position;

/** Reads one document of a YAML file; never throws on bad input. What comes of it can be sent to another thread. */
export function readDocument(file: string, raw: RawDocument, parser: ResourceParser): DocumentReading {
  const parts = partsOf(raw).map((part) => readPart(part, file, parser));
  return {
    entries: parts.flatMap(({ entry }) => entry ?? []),
    findings: parts.flatMap(({ findings }) => findings),
  };
}

/** The same document further down or up in its file; null where what it says depends on its place. */
export function movedBy(reading: DocumentReading, lines: number): DocumentReading | null {
  if (lines === 0) return reading;
  if (reading.entries.some(({ resource }) => resource === null)) return null;
  const moved = new Map(reading.findings.map((finding) => [finding, { ...finding, origin: originBy(finding.origin, lines) }]));
  return {
    entries: reading.entries.map((entry) => ({
      ...entry,
      origin: originBy(entry.origin, lines),
      findings: entry.findings.flatMap((finding) => moved.get(finding) ?? []),
    })),
    findings: [...moved.values()],
  };
}

function originBy(origin: Origin, lines: number): Origin {
  return origin.kind === 'file' ? { ...origin, line: origin.line + lines } : origin;
}

/** Reads every document of a YAML file; a broken one does not disturb the others. Never throws on bad input. */
export function readResourceFile(file: string, text: string, parser: ResourceParser): DocumentReading {
  return joined(cutDocuments(text).map((raw) => readDocument(file, raw, parser)));
}

/** What documents say one after the other. */
export function joined(readings: readonly DocumentReading[]): DocumentReading {
  return {
    entries: readings.flatMap(({ entries }) => entries),
    findings: readings.flatMap(({ findings }) => findings),
  };
}

/** Where fields of a resource are written, of a document that describes it, maybe among others; null when it does not. */
export function placesOf(file: string, raw: RawDocument, name: ResourceName, parser: ResourceParser): Places | null {
  const [only, ...others] = partsOf(raw);
  const isMeant = (one: Part): boolean => readPart(one, file, parser).entry?.name === name;
  const part = others.length === 0 ? only : [only, ...others].find((one) => one !== undefined && isMeant(one));
  return part === undefined ? null : (path) => part.locate(path);
}

/** One resource of a document, and what it was read from. `item`: its place in a List; `isAlone`: the document holds nothing else. */
export type DocumentPart = PartReading & { object: unknown; item: number | null; isAlone: boolean; line: number };

/** The objects of a document, unread; null of one that is no YAML. */
export function objectsIn(raw: RawDocument): { object: unknown; isAlone: boolean; line: number }[] {
  const parts = partsOf(raw);
  return parts.map(({ item, object, locate }) => ({
    object,
    isAlone: parts.length === 1 && item === null,
    line: locate([]).line,
  }));
}

/** Every part of a document, in order. */
export function partsIn(file: string, raw: RawDocument, parser: ResourceParser): DocumentPart[] {
  const parts = partsOf(raw);
  return parts.map((part) => {
    const { item, object, locate } = part;
    return { ...readPart(part, file, parser), item, object, isAlone: parts.length === 1, line: locate([]).line };
  });
}

/** `object` is null where there is none: the YAML is broken. `item`: its place in a List. */
type Part = {
  document: YamlDocument;
  object: unknown;
  item: number | null;
  locate(path: FieldPath, part?: 'value' | 'key'): Position;
};

/** `kubectl get -o yaml` wraps resources into a List. */
function partsOf(raw: RawDocument): Part[] {
  return readRawDocument(raw).flatMap((document) => {
    const value = document.content.kind === 'broken' ? null : document.content.value;
    const items = isList(value)
      ? value.items.map((object, at) => ({ base: ['items', at], object, item: at }))
      : [{ base: [], object: value, item: null }];
    return items.map(({ base, object, item }): Part => {
      // It begins at the part: for an item of a List the path inside the item is what its author wrote.
      return { document, object, item, locate: (path, part) => document.locate([...base, ...path], part) };
    });
  });
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

/** `entry` is null of a kind that Weft does not read. */
type PartReading = { entry: Entry | null; findings: readonly Finding[] };

function readPart({ document, object, locate }: Part, file: string, parser: ResourceParser): PartReading {
  const { line } = locate([]);
  const origin = fileOrigin(file, { line, column: 1 });
  // It may be any resource that the file described before: nobody can tell which (name: null).
  if (document.content.kind === 'broken') {
    const findings = document.content.mistakes.map(({ message, position }) => syntaxFinding(message, file, position));
    const standIns = standInsOf(document.content.text, `${file}:${document.line}`, parser);
    return { entry: { name: null, resource: null, origin, findings, standIns }, findings };
  }
  const reading = parser.read(object, namelessAt(`${file}:${line}`));
  const findings = findingsOf(reading, (path, part) => fileOrigin(file, locate(path, part)));
  if (reading.kind === 'foreign') return { entry: null, findings };
  const { name } = reading;
  if (reading.kind === 'resource') {
    const { resource, document: from } = reading;
    return { entry: { name, resource, document: from, origin, findings }, findings };
  }
  const standIns = reading.standIn === null ? [] : [reading.standIn];
  return { entry: { name, resource: null, standIns, origin, findings }, findings };
}

/** What stands for a text at `place` that cannot be read: for each restriction that it names, the widest of its namespace. */
export function standInsOf(text: string, place: string, parser: ResourceParser): StandIn[] {
  return headsOf(text).flatMap(({ kind, namespace }, at) => {
    return parser.standInFor(kind, namespace ?? DEFAULT_NAMESPACE, namelessAt(`${place}-${at}`)) ?? [];
  });
}

/** Whether documents of a kind restrict something: what cannot be read of them is closed. */
export function isRestriction(kind: string, parser: ResourceParser): boolean {
  return parser.standInFor(kind, DEFAULT_NAMESPACE, kind) !== null;
}

/** Whether a text names such a kind, at whatever depth. */
export function namesRestriction(text: string, parser: ResourceParser): boolean {
  for (const [, kind] of text.matchAll(WORDS)) if (kind !== undefined && isRestriction(kind, parser)) return true;
  return false;
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

/** What is told of a file whose name says that it is not to be read. */
export function ignoredFinding(path: string): Finding {
  const message = 'it is not read: only names that end in .yaml, .yml or .json are';
  const remedy = 'rename it if it holds resources, or keep it elsewhere (a name that begins with a dot is passed over)';
  return findingOf(warningAt('WEFT_FILE_IGNORED', [], message, remedy), '', fileOrigin(path, { line: 1, column: 1 }));
}

/** What is told of a file that cannot be read. */
export function unreadProblem(why: string): Problem {
  const message = `it cannot be read: ${why}; what it is known to have said stays in force`;
  return errorAt('WEFT_FILE_UNREADABLE', [], message, 'make it readable, or delete it if its resources are to go');
}
