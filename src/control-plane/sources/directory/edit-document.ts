import { parseDocument } from 'yaml';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { NewResource } from '#control-plane/sources/editor.ts';
import { WeftError } from '#model/error.ts';
import { partsIn } from './resource-file.ts';
import { splitAtMarkers } from './yaml-documents.ts';

/** What a file is to say. text null: nothing, so that it may go. */
export type EditedFile = { text: string | null; line: number };

/**
 * A file in which one description of a resource has another text, or none (replacement null); every other byte of it stays. Null
 * when it does not describe the resource. Errors: WEFT_RESOURCE_WRITE where nobody can tell what belongs to it.
 */
export function editFile(
  file: { path: string; text: string },
  name: ResourceName,
  replacement: NewResource | null,
  parser: ResourceParser,
): EditedFile | null {
  const pieces = splitAtMarkers(file.text);
  let line = 1;
  for (const [at, text] of pieces.entries()) {
    const part = partsIn(file.path, { text, line }, parser).find(({ entry }) => entry?.name === name);
    if (part !== undefined) {
      const next = editPiece({ text, path: file.path, line, isFirst: at === 0 }, part, replacement);
      const edited = pieces.toSpliced(at, 1, next).join('');
      return { text: saysNothing(edited) ? null : edited, line: at === 0 ? line : line + 1 };
    }
    line += text.split('\n').length - 1;
  }
  return null;
}

/** A file that has one more document at its end. */
export function withDocument(path: string, before: string | null, { text, object }: NewResource): EditedFile {
  if (before === null) return { text: isJson(path) ? jsonText(object) : bareText(text), line: 1 };
  const start = before.endsWith('\n') ? before : `${before}\n`;
  return { text: `${start}---\n${bareText(text)}`, line: start.split('\n').length };
}

type Piece = { text: string; path: string; line: number; isFirst: boolean };

function editPiece(piece: Piece, part: { item: number | null; isAlone: boolean }, replacement: NewResource | null): string {
  if (part.item !== null) return editList(piece, part.item, replacement?.object ?? null);
  if (!part.isAlone) throw notParted(piece);
  if (replacement === null) return '';
  if (isJson(piece.path)) return jsonText(replacement.object);
  return `${piece.isFirst && !piece.text.startsWith('---') ? '' : '---\n'}${bareText(replacement.text)}`;
}

/** The items of a `List`, as `kubectl get -o yaml` writes them. */
function editList(piece: Piece, item: number, object: object | null): string {
  const list = parseDocument(piece.text);
  if (list.errors.length > 0) throw notParted(piece);
  if (object === null) list.deleteIn(['items', item]);
  else list.setIn(['items', item], list.createNode(object));
  if (isJson(piece.path)) return jsonText(list.toJS());
  return `${piece.isFirst && !piece.text.startsWith('---') ? '' : '---\n'}${bareText(String(list))}`;
}

function notParted({ path, line }: Piece): WeftError {
  return new WeftError('WEFT_RESOURCE_WRITE', `${path}:${line} holds several documents that no line of --- parts`, {
    remedy: 'put a line --- between them, or edit the file by hand',
  });
}

/** A document without the marker that it may begin with, its last line ended. */
function bareText(text: string): string {
  return `${text.replace(/^---[ \t]*(\r?\n)?/, '').trimEnd()}\n`;
}

function jsonText(object: unknown): string {
  return `${JSON.stringify(object, null, 2)}\n`;
}

function isJson(path: string): boolean {
  return path.endsWith('.json');
}

/** Comments are their author's: a file that holds any stays. */
function saysNothing(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(---\s*)?$/.test(line));
}
