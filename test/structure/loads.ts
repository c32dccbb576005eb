import { resolveImport } from './layers.ts';
import { importsOf, type SourceFile } from './source-files.ts';

/** What a process begins with, and packages that it must not load with it: their code costs time and memory in every process of its kind. */
export type Begin = { entry: string; without: readonly string[] };

/** Of the files of Weft; what is imported when it is needed (`await import`) is not loaded at the beginning. */
export const BEGINS: readonly Begin[] = [
  // The command line, which every process begins with.
  { entry: 'src/main/weft.ts', without: ['yaml', 'ajv', 'koffi', 'jose', 'prom-client', '@grpc/grpc-js', '@peculiar/x509'] },
  { entry: 'src/main/commands/up.ts', without: ['yaml', 'ajv', 'prom-client', '@grpc/grpc-js', '@peculiar/x509'] },
  { entry: 'src/main/commands/run.ts', without: ['yaml', 'ajv', 'prom-client', '@grpc/grpc-js', '@peculiar/x509'] },
  { entry: 'src/main/commands/agent.ts', without: ['yaml', 'ajv', 'prom-client', '@peculiar/x509'] },
  { entry: 'src/main/agent/data-thread.ts', without: ['yaml', 'ajv', 'prom-client', '@grpc/grpc-js', '@peculiar/x509'] },
  { entry: 'src/main/waypoint/data-thread.ts', without: ['yaml', 'ajv', 'prom-client', '@grpc/grpc-js', '@peculiar/x509'] },
  { entry: 'src/main/waypoint/waypoint-process.ts', without: ['yaml', 'ajv', 'prom-client', '@peculiar/x509'] },
];

/** Each package that is loaded all the same, with the files through which it is. */
export function heavyLoads(files: readonly SourceFile[], begins = BEGINS): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return begins.flatMap(({ entry, without }) => {
    const ways = new Map([[entry, [entry]]]);
    // A map goes through what is added to it meanwhile.
    for (const [path, way] of ways)
      for (const from of loadedBy(byPath.get(path))) {
        const next = resolveImport(path, from) ?? packageOf(from);
        if (!ways.has(next)) ways.set(next, [...way, next]);
      }
    return without.flatMap((name) => (ways.has(name) ? [`${ways.get(name)?.join(' → ')}`] : []));
  });
}

/** Imports of packages when they are needed: from the bundle they come without their names, where the package is of the older format. */
export function bareLaterImports(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    [...text.matchAll(/\bimport\('((?![.#]|node:)[^']+)'\)/g)].map(([, from]) => `${path}: ${from}`),
  );
}

function loadedBy(file: SourceFile | undefined): string[] {
  if (file === undefined) return [];
  const atOnce = { ...file, text: file.text.replace(/\bimport\('/g, "later('") };
  return importsOf(atOnce)
    .filter(({ typeOnly }) => !typeOnly)
    .map(({ from }) => from);
}

/** `@scope/name` or `name`, without the path inside. */
function packageOf(from: string): string {
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/');
}
