import { posix } from 'node:path';
import { resolveImport } from './layers.ts';
import { importsOf, isTest, type SourceFile, withoutComments } from './source-files.ts';

/** The part a file belongs to: a folder of src/, or the test bed. Null elsewhere. */
function partOf(path: string): string | null {
  return /^(?:src\/[^/]+|testbed)(?=\/)/.exec(path)?.[0] ?? null;
}

/** Folder → folders that its product files import, inside one part. A folder's own files count apart from those below it. */
function folderGraph(files: readonly SourceFile[]): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>();
  for (const file of files) {
    const part = partOf(file.path);
    if (part === null || isTest(file.path)) continue;
    const folder = posix.dirname(file.path);
    const targets = graph.get(folder) ?? new Set<string>();
    graph.set(folder, targets);
    for (const { from } of importsOf(file)) {
      const target = resolveImport(file.path, from);
      if (target === null || partOf(target) !== part) continue;
      if (posix.dirname(target) !== folder) targets.add(posix.dirname(target));
    }
  }
  return graph;
}

/** Everything that `from` reaches, itself only if a way leads back. */
function reachable(graph: ReadonlyMap<string, ReadonlySet<string>>, from: string): Set<string> {
  const seen = new Set<string>();
  const waiting = [...(graph.get(from) ?? [])];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    if (seen.has(folder)) continue;
    seen.add(folder);
    waiting.push(...(graph.get(folder) ?? []));
  }
  return seen;
}

/** Groups of folders inside a part that import one another, directly or round about: each sorted, each told once. */
export function folderGroups(files: readonly SourceFile[]): string[] {
  const graph = folderGraph(files);
  const reach = new Map([...graph.keys()].map((folder) => [folder, reachable(graph, folder)]));
  const groups = new Set<string>();
  for (const [folder, reached] of reach) {
    if (!reached.has(folder)) continue;
    const group = [...reached].filter((other) => reach.get(other)?.has(folder) === true);
    groups.add(group.sort().join(' ⇄ '));
  }
  return [...groups].sort();
}

const KINDS = 'src/control-plane/kinds';

/** The folder of a kind that a path lies in; null for files that all kinds share, such as their list. */
function kindOf(path: string): string | null {
  return new RegExp(`^${KINDS}/([^/]+)/`).exec(path)?.[1] ?? null;
}

/** Kinds that import one another, and an engine that knows a kind: by import, or by one of `kindNames` as a literal. */
export function kindViolations(files: readonly SourceFile[], kindNames: readonly string[]): string[] {
  const found: string[] = [];
  for (const file of files.filter(({ path }) => !isTest(path))) {
    const own = kindOf(file.path);
    const isEngine = /^src\/control-plane\/(index|sources)\//.test(file.path);
    for (const { from } of importsOf(file)) {
      const target = resolveImport(file.path, from) ?? '';
      const other = kindOf(target);
      if (own !== null && other !== null && other !== own) found.push(`${file.path} imports another kind: ${from}`);
      if (isEngine && target.startsWith(`${KINDS}/`)) found.push(`${file.path} imports a kind: ${from}`);
    }
    if (!isEngine) continue;
    const code = withoutComments(file.text);
    for (const name of kindNames) {
      if (new RegExp(`['"\`]${name}['"\`]`).test(code)) found.push(`${file.path} knows the kind ${name} by name`);
    }
  }
  return found;
}

/** How many ways a function of main may branch: one or two checks of what it wires; more is a decision, which has a part. */
export const BRANCHES_MAX = 4;

const BRANCH = /\bif \(|\bcase |\bwhile \(|\s\? |\s&& |\s\|\| |\s\?\? /g;

/** Classes and decisions in src/main, which only wires. */
export function wiringViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const file of files.filter(({ path }) => path.startsWith('src/main/') && !isTest(path))) {
    const code = withoutComments(file.text);
    for (const [line] of code.matchAll(/^.*(?<![\w.'`-])class(?: \w+)?(?: extends [\w.]+)? \{/gm))
      found.push(`${file.path} holds a class: ${line.trim()}`);
    for (const block of code.split(/^(?=(?:export )?(?:async )?function\b|(?:export )?const \w+ = )/m)) {
      const branches = block.match(BRANCH)?.length ?? 0;
      const name = /^(?:export )?(?:async )?(?:function|const) (\w+)/.exec(block)?.[1] ?? 'top level';
      if (branches > BRANCHES_MAX) found.push(`${file.path}: ${name} branches ${branches} times: decide in a part`);
    }
  }
  return found;
}

const OTHER_SPELLINGS =
  /(^|\/)(testing|__tests__|mocks?|fixtures)\/|[-/](test|harness|fixtures?|mocks?|fakes?|stubs?)(-[\w-]+)?\.ts$|\/(test|fake|mock|stub)-[^/]+\.ts$/;

/** Product that imports test support, and test support under another spelling than `*.testing.ts`. */
export function supportViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const file of files.filter(({ path }) => partOf(path) !== null && !isTest(path))) {
    if (OTHER_SPELLINGS.test(file.path)) found.push(`${file.path} looks like test support: call it *.testing.ts`);
    for (const { from } of importsOf(file)) {
      if (/\.(testing|test)\.ts$/.test(from)) found.push(`${file.path} imports test support: ${from}`);
      if (/^node:(test|assert)/.test(from)) found.push(`${file.path} imports ${from}: call it *.testing.ts`);
    }
  }
  return found;
}
