import { ACCESS_FIELDS, LOG_FIELDS } from '../../src/model/telemetry/log-fields.ts';
import { isTest, type SourceFile, withoutComments } from './source-files.ts';

const CALL = /\blog(?:\.(?:debug|info|warn|error|child)|\[\w+\])\??\.?\(\s*\{/gi;

/** Keys of an object literal that begins at `start`, after its brace; spreads and nested literals say nothing. */
function keysAt(code: string, start: number): string[] {
  const keys: string[] = [];
  let depth = 1;
  let piece = '';
  const take = (): void => {
    const [, quoted, plain] = /^\s*(?:'([^']+)'|(\w+))\s*(?::|$)/.exec(piece) ?? [];
    const key = quoted ?? plain;
    if (key !== undefined) keys.push(key);
    piece = '';
  };
  for (let at = start; at < code.length && depth > 0; at++) {
    const sign = code[at] ?? '';
    if ('{[('.includes(sign)) depth++;
    if ('}])'.includes(sign)) depth--;
    if (depth === 0 || (depth === 1 && sign === ',')) take();
    else piece += sign;
  }
  return keys;
}

/** Each field that is written in code, with its file. */
function fieldsIn(files: readonly SourceFile[]): { path: string; key: string }[] {
  const found: { path: string; key: string }[] = [];
  for (const { path, text } of files) {
    if (isTest(path) || !path.startsWith('src/')) continue;
    const code = withoutComments(text);
    for (const call of code.matchAll(CALL))
      for (const key of keysAt(code, call.index + call[0].length)) found.push({ path, key });
  }
  return found;
}

/** Every field that is written in code. */
export function usedFields(files: readonly SourceFile[]): Set<string> {
  return new Set(fieldsIn(files).map(({ key }) => key));
}

/** Fields of log lines that are written in code and not in the lists of src/model/telemetry/log-fields.ts. */
export function strayFields(files: readonly SourceFile[]): string[] {
  return fieldsIn(files)
    .filter(({ key }) => !(key in ACCESS_FIELDS) && !(key in LOG_FIELDS))
    .map(({ path, key }) => `${path}: the log field ${key} is in no list`);
}
