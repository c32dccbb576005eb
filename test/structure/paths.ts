import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, type SourceFile } from './source-files.ts';

/** A path of the tree in running text; placeholders (`NAME`, `<kind>`, `*`, `{a,b}`) make it a pattern, not a path. */
const PATH = /(?<![\w./#@-])(?:src|bpf|testbed|test|bench|fuzz|scripts|docs|examples|config)\/[\w./<>{}*,-]*[\w/]/g;
const PATTERN = /[<>{}*]|\b[A-Z]{3,}\b(?!\.md)/;

/** Paths that a text names and the tree does not have, each once. */
export function missingPaths({ path, text }: SourceFile): string[] {
  const named = new Set([...text.matchAll(PATH)].map(([found]) => found.replace(/[.,]+$/, '')));
  return [...named]
    .filter((found) => !PATTERN.test(found) && !existsSync(join(ROOT, found)))
    .map((found) => `${path} names ${found}`);
}
