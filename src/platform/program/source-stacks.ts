import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A place in a file, counted from 1 as a stack counts. */
export type Place = { readonly file: string; readonly line: number; readonly column: number };

/** Where the bundled code at a place came from; null: the place is in no bundle, or nothing is known of it. */
export type Origins = (place: Place) => Place | null;

/** Those of the bundle that this code is part of; null: the .ts run themselves. */
const OWN = import.meta.filename.endsWith('.ts') ? null : mapOrigins();

/**
 * Text that may hold stacks, with the .ts in place of the bundle that runs. Node.js can do it (--enable-source-maps), but reads every map at
 * the start, 8 MB for a process that may never fail. It is done where a stack is shown and not where it is made, too: grpc-js makes one of
 * each call that fails, and reading its map keeps everything else waiting for 60 ms, and 8 MB for ever.
 */
export function withSourcePlaces(text: string, origins: Origins | null = OWN): string {
  if (origins === null || !text.includes('.js:')) return text;
  return text
    .split('\n')
    .map((line) => siteText(line, origins))
    .join('\n');
}

/** A line of a stack with its place told as that of the source; the line as it was when that is not known. */
export function siteText(line: string, origins: Origins): string {
  return line.replace(/((?:file:\/\/)?\/[^\s()]+):(\d+):(\d+)/, (text, file: string, row: string, column: string) => {
    const path = file.startsWith('file://') ? fileURLToPath(file) : file;
    const origin = origins({ file: path, line: Number(row), column: Number(column) });
    return origin === null ? text : `${origin.file}:${origin.line}:${origin.column}`;
  });
}

/** What the map beside a file says, each map read once; `read` is for tests. */
export function mapOrigins(read = (path: string): string => readFileSync(path, 'utf8')): Origins {
  const maps = new Map<string, SourceMap | null>();
  return ({ file, line, column }) => {
    if (!file.endsWith('.js')) return null;
    let map = maps.get(file);
    if (map === undefined) {
      map = mapBeside(file, read);
      maps.set(file, map);
    }
    const entry = map?.findOrigin(line, column);
    if (entry === undefined || !('fileName' in entry)) return null;
    return { file: join(dirname(file), entry.fileName), line: entry.lineNumber, column: entry.columnNumber };
  };
}

/** Whatever is wrong with a map must not hide the error whose stack is being told. */
function mapBeside(file: string, read: (path: string) => string): SourceMap | null {
  try {
    return new SourceMap(JSON.parse(read(`${file}.map`)));
  } catch {
    return null;
  }
}
