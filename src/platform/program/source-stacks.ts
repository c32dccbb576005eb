import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A place in a file, counted from 1 as a stack counts. */
export type Place = { readonly file: string; readonly line: number; readonly column: number };

/** Where the bundled code at a place came from; null: the place is in no bundle, or nothing is known of it. */
export type Origins = (place: Place) => Place | null;

/**
 * From here on stacks of this process name the .ts, although a bundle runs. Node.js can do it (--enable-source-maps), but
 * reads every map at the start, 8 MB for a process that may never fail; here a map is read when a stack is asked for.
 */
export function showSourceStacks(origins: Origins = mapOrigins()): void {
  Error.prepareStackTrace = (error, sites) =>
    `${headOf(error)}${sites.map((site) => `\n    at ${siteText(String(site), origins)}`).join('')}`;
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

/** As V8 begins a stack, also for an error whose own text cannot be had. */
function headOf(error: unknown): string {
  try {
    return String(error);
  } catch {
    return 'Error';
  }
}
