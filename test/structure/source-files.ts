import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The root of the tree that the structure tests look at. */
export const ROOT = join(import.meta.dirname, '../..');

/** One import or re-export statement, or a dynamic import of a literal. */
export type Import = {
  /** As written, such as `#model/error.ts`. */
  from: string;
  /** `import type …`: erased, so it has no effect at run time. */
  typeOnly: boolean;
  reExport: boolean;
  /** Imported names; empty for a namespace, a side-effect or a dynamic import. */
  names: readonly string[];
};

/** A text file of the tree; `path` is relative to the root, with forward slashes. */
export type SourceFile = { path: string; text: string };

const SKIPPED = new Set(['node_modules', 'build', '.git', 'golden', 'generated']);

/** Every file below `folder` (relative to the root) whose name ends with one of `endings`, sorted by path. */
export function filesBelow(folder: string, endings: readonly string[]): SourceFile[] {
  const found: SourceFile[] = [];
  const visit = (path: string): void => {
    for (const entry of readdirSync(join(ROOT, path), { withFileTypes: true })) {
      if (SKIPPED.has(entry.name)) continue;
      const below = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) visit(below);
      else if (endings.some((ending) => entry.name.endsWith(ending))) {
        found.push({ path: below, text: readFileSync(join(ROOT, below), 'utf8') });
      }
    }
  };
  visit(folder);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Whether the file is a test, or what only tests use, by its name alone. */
export function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.endsWith('.testing.ts');
}

const STATEMENT = /^(import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\('([^']+)'\)/g;

/** The imports of a file, in order; relies on the formatter's quotes and line starts, not on a full parser. */
export function importsOf(file: SourceFile): Import[] {
  const code = withoutComments(file.text);
  const found: Import[] = [];
  for (const [, keyword, type, clause, from] of code.matchAll(STATEMENT)) {
    found.push({ from: from ?? '', typeOnly: type !== undefined, reExport: keyword === 'export', names: namesIn(clause ?? '') });
  }
  for (const [, from] of code.matchAll(DYNAMIC)) {
    found.push({ from: from ?? '', typeOnly: false, reExport: false, names: [] });
  }
  return found;
}

function namesIn(clause: string): string[] {
  const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? '';
  return braces
    .split(',')
    .map((name) =>
      name
        .trim()
        .replace(/^type /, '')
        .replace(/ as .*$/, ''),
    )
    .filter((name) => name !== '');
}

/** The text with comment lines and trailing comments blanked; line numbers stay. What follows a comment on its line is code. */
export function withoutComments(text: string): string {
  let inside = false;
  const codeOf = (line: string): string => {
    const opens = !inside && /^\s*\/\*/.test(line);
    if (!inside && !opens) return /^\s*(\/\/|\*[ /])/.test(line) ? '' : line.replace(/\s\/\/ .*$/, '');
    const end = line.indexOf('*/', opens ? line.indexOf('/*') + 2 : 0);
    inside = end < 0;
    return inside ? '' : codeOf(line.slice(end + 2).trimStart());
  };
  return text.split('\n').map(codeOf).join('\n');
}
