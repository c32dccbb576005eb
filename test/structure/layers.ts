import { posix } from 'node:path';
import { importsOf, isTest, type SourceFile } from './source-files.ts';

/** Which folders of src/ the files of a folder may import, beside their own (DESIGN section 9). */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  protocol: ['model'],
  platform: ['model', 'protocol'],
  'control-plane': ['model', 'protocol'],
  'node-agent': ['model', 'protocol'],
  waypoint: ['model', 'protocol'],
  cli: ['model', 'protocol'],
  main: ['model', 'protocol', 'platform', 'control-plane', 'node-agent', 'waypoint', 'cli'],
  testbed: ['model', 'protocol', 'platform', 'cli'],
};

/** Where an import leads: a path from the root, `null` for packages and Node's own modules. */
export function resolveImport(importer: string, from: string): string | null {
  if (from.startsWith('#')) {
    const path = from.slice(1);
    if (path.startsWith('proto/')) return `build/${path}`;
    return path.startsWith('testbed/') ? path : `src/${path}`;
  }
  if (from.startsWith('.')) return posix.normalize(posix.join(posix.dirname(importer), from));
  return null;
}

/** The layer of a path; generated protobuf code counts as protocol. Null outside src/. */
function layerOf(path: string): string | null {
  if (path.startsWith('build/proto/')) return 'protocol';
  if (path.startsWith('testbed/')) return 'testbed';
  const [top, layer, ...rest] = path.split('/');
  return top === 'src' && layer !== undefined && rest.length > 0 ? layer : null;
}

/** Imports that point the wrong way, and files in no layer. Tests may import anything. */
export function layerViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const file of files) {
    if (isTest(file.path)) continue;
    const layer = layerOf(file.path) ?? '';
    const allowed = MAY_IMPORT[layer];
    if (allowed === undefined) {
      found.push(`${file.path} lies in no layer: move it into one of src/{${Object.keys(MAY_IMPORT).join(',')}}`);
      continue;
    }
    for (const { from } of importsOf(file)) {
      const target = resolveImport(file.path, from);
      if (target === null) continue;
      const other = layerOf(target);
      if (other === layer || (other !== null && allowed.includes(other))) continue;
      // `weft demo`, `weft lab` and `weft bench` start what lies there.
      if (layer === 'main' && /^(bench|testbed)\//.test(target)) continue;
      found.push(`${file.path} imports ${from}: ${layer} may import ${['itself', ...allowed].join(', ')} only`);
    }
  }
  return found;
}

/** Files of the test bed, the benchmarks and the fuzz targets that import main: they run it as a person would, by its commands. */
export function benchViolations(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => /^(testbed|bench|fuzz)\//.test(path) && !isTest(path))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ from }) => resolveImport(file.path, from)?.startsWith('src/main/') === true)
        .map(({ from }) => `${file.path} imports ${from}: run the command, or move what is shared into a part`),
    );
}

/** Imports of our own files that Node cannot resolve: they must carry the ending of the file. */
export function endingViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter(({ from }) => resolveImport(file.path, from) !== null)
      .filter(({ from }) => !(from.startsWith('#proto/') ? from.endsWith('_pb.js') : /\.(ts|json)$/.test(from)))
      .map(({ from }) => `${file.path} imports ${from} without its ending`),
  );
}

/** Every import cycle, as `a → b → a`, each told once. Imports of types count: they tie files together just as well. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const known = new Set(files.map((file) => file.path));
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const targets = importsOf(file).map(({ from }) => resolveImport(file.path, from));
    edges.set(
      file.path,
      targets.filter((target): target is string => target !== null && known.has(target)),
    );
  }
  const done = new Set<string>();
  const cycles: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push([...trail.slice(at), path].join(' → '));
    if (at >= 0 || done.has(path)) return;
    for (const target of edges.get(path) ?? []) walk(target, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  return cycles;
}
