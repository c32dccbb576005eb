import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import type { FieldPath, Position } from '#control-plane/resources/finding.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { type CommonDocument, readCommonYaml } from './common-yaml.ts';

/** One document of a YAML stream. */
export type YamlDocument = {
  /** Line of its first character, from 1. */
  line: number;
  content: { kind: 'value'; value: unknown } | { kind: 'broken'; mistakes: readonly SyntaxMistake[]; text: string };
  /** Where a field is; the nearest enclosing field that exists when it is missing. */
  locate(path: FieldPath, part?: 'value' | 'key'): Position;
};

/** What is wrong with the YAML, and where. */
export type SyntaxMistake = { message: string; position: Position };

/** `---` at the start of a line always begins a document, even inside an unfinished quoted text. */
const DOCUMENT_MARKER = /^---(?=\s|$)/gm;

/** A piece of a YAML stream that begins at a marker, or at the start: one document, most often. */
export type RawDocument = {
  text: string;
  /** Line of its first character, from 1. */
  line: number;
};

/**
 * Cuts a stream at its markers, before anything of it is read: so a mistake in one document cannot swallow the next. Pieces that
 * say nothing are left out.
 */
export function cutDocuments(text: string): RawDocument[] {
  const documents: RawDocument[] = [];
  let line = 1;
  for (const part of splitAtMarkers(text)) {
    if (!onlyDirectives(part)) documents.push({ text: part, line });
    line += countLines(part);
  }
  return documents;
}

/** The documents of a file; empty ones are left out. */
export function readYamlDocuments(text: string): YamlDocument[] {
  return cutDocuments(text).flatMap(readRawDocument);
}

/** The pieces of a stream, each from its marker on: together they are the whole text. */
export function splitAtMarkers(text: string): string[] {
  const starts = [0, ...[...text.matchAll(DOCUMENT_MARKER)].map((match) => match.index)];
  return starts.map((start, at) => text.slice(start, starts[at + 1] ?? text.length));
}

/** Comments and `%YAML` lines before the first marker are no document. */
function onlyDirectives(part: string): boolean {
  return part.split('\n').every((line) => /^\s*([%#].*)?$/.test(line));
}

function countLines(part: string): number {
  let lines = 0;
  for (let at = part.indexOf('\n'); at >= 0; at = part.indexOf('\n', at + 1)) lines++;
  return lines;
}

/** The documents of one piece: where one ends without the next being marked there are two. */
export function readRawDocument(raw: RawDocument): YamlDocument[] {
  const common = readCommonYaml(raw.text);
  return common === null ? readAnyYaml(raw) : [toCommonDocument(common, raw)];
}

/** Where its fields are is seldom asked for: when something is wrong with one. */
function toCommonDocument({ value, start }: CommonDocument, raw: RawDocument): YamlDocument {
  const line = raw.line + countLines(raw.text.slice(0, start));
  const column = start - raw.text.lastIndexOf('\n', start - 1);
  let full: YamlDocument | undefined;
  const locate: YamlDocument['locate'] = (path, part) => {
    if (path.length === 0) return { line, column };
    full ??= readAnyYaml(raw)[0];
    return full?.locate(path, part) ?? { line, column };
  };
  return { line, content: { kind: 'value', value }, locate };
}

/**
 * The documents of a piece, whatever they are made of, with the place of each word. The parser calls itself for each level: text
 * that is nested thousands of levels deep ends its stack, and must end there.
 */
export function readAnyYaml({ text: part, line: firstLine }: RawDocument): YamlDocument[] {
  try {
    return parsePart(part, firstLine);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const position = { line: firstLine, column: 1 };
    const mistake = { message: 'the document is nested too deeply to be read', position };
    return [{ line: firstLine, content: { kind: 'broken', mistakes: [mistake], text: part }, locate: () => position }];
  }
}

function parsePart(part: string, firstLine: number): YamlDocument[] {
  const counter = new LineCounter();
  const documents = parseAllDocuments(part, { lineCounter: counter, merge: true, prettyErrors: false });
  if (!Array.isArray(documents)) return [];
  const place = (offset: number): Position => {
    const { line, col } = counter.linePos(offset);
    return { line: line + firstLine - 1, column: col };
  };
  return documents
    .filter((document) => (document.contents !== null && !isEmptyScalar(document.contents)) || document.errors.length > 0)
    .map((document) => toYamlDocument(document, place, part));
}

function isEmptyScalar(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

function toYamlDocument(document: Document, place: (offset: number) => Position, text: string): YamlDocument {
  const start = place(document.contents?.range?.[0] ?? document.range?.[0] ?? 0);
  return {
    line: start.line,
    content: contentOf(document, place, start, text),
    locate: (path, part = 'value') => place(offsetOf(document, path, part)),
  };
}

function contentOf(
  document: Document,
  place: (offset: number) => Position,
  start: Position,
  text: string,
): YamlDocument['content'] {
  if (document.errors.length > 0) {
    const mistakes = document.errors.slice(0, RESOURCE.mistakesMax);
    return {
      kind: 'broken',
      mistakes: mistakes.map((mistake) => ({ message: mistake.message, position: place(mistake.pos[0]) })),
      text,
    };
  }
  try {
    // Through JSON and back: an alias to itself is found out, and two aliases no longer share one object.
    return { kind: 'value', value: JSON.parse(JSON.stringify(document.toJS()) ?? 'null') };
  } catch (cause) {
    return { kind: 'broken', mistakes: [{ message: explain(cause), position: start }], text };
  }
}

function explain(cause: unknown): string {
  const message = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
  return message.startsWith('Converting circular') ? 'an alias refers to the value that contains it' : message;
}

/** Walks as far as the path leads; a field that is missing is told at the object that lacks it. */
function offsetOf(document: Document, path: FieldPath, part: 'value' | 'key'): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    const child = childOf(resolve(document, node), step);
    if (child === null) break;
    const wantsKey = part === 'key' && depth === path.length - 1;
    offset = (wantsKey ? child.key : child.value)?.range?.[0] ?? child.key?.range?.[0] ?? offset;
    node = child.value;
  }
  return offset;
}

/** What an alias stands for is written elsewhere: that is the place to mend. */
function resolve(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node;
}

/** Keys are compared as texts: YAML reads `8080:` as a number, a path has '8080'. */
function childOf(node: Node | null, step: string | number): { key: Node | null; value: Node | null } | null {
  if (isSeq<Node>(node)) {
    const value = node.items[Number(step)];
    return value === undefined ? null : { key: value, value };
  }
  if (!isMap<Node, Node>(node)) return null;
  for (const pair of node.items) {
    if (isScalar(pair.key) && String(pair.key.value) === String(step)) return { key: pair.key, value: pair.value };
  }
  return null;
}
