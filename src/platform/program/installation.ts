import { hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';

/**
 * The folder that holds package.json, src and build. Looked for, and not counted in `..`: the same code runs from its own
 * place in src and from the bundle in build, which lie at different depths.
 */
export const WEFT_ROOT = installationAbove(import.meta.dirname);

/** What a process of Weft starts when it starts Weft again: what it runs itself, so that a bundle's children are the bundle. */
export const WEFT_PROGRAM = programOf(WEFT_ROOT, import.meta.filename);

/**
 * How Node.js runs Weft, chosen by measuring: a heap that is small and grows by little. And every object is new where it begins: V8 takes a connection
 * for something that lasts once it has seen some that did, makes all later ones in the old generation, and those that serve one
 * request then keep its collector running (25 µs each). bin/weft and the image of containers name the same.
 */
export const NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=4',
  '--heap-growing-percent=30',
  '--no-allocation-site-pretenuring',
];

const OWN_FLAGS = NODE_FLAGS.map((flag) => flag.replace(/=.*/, '='));

/** The nearest folder at or above `start` that is Weft's own. Errors: WEFT_INSTALLATION when there is none. */
export function installationAbove(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json')) && existsSync(join(folder, 'bin', 'weft'))) return folder;
    if (folder === dirname(folder)) {
      throw new WeftError(
        'WEFT_INSTALLATION',
        `${start} is not inside an installation of Weft: package.json and bin/weft lie nowhere above it`,
        {
          remedy: 'run Weft from the folder that make setup built, without moving files out of it',
        },
      );
    }
  }
}

/** The file to start, by the file that this code runs from: a .ts in src, or one of the bundle. */
export function programOf(root: string, runningFile: string): string {
  return runningFile.endsWith('.ts') ? join(root, 'src/main/weft.ts') : join(root, 'build/program/weft.js');
}

/**
 * The arguments of Node.js with which another part of Weft is started: of ours, those that are no test runner's or debugger's.
 * They end with `--`, or Node.js would look for options of its own (`--env-file`) behind the program, too.
 */
export function partFlags(execArgv: readonly string[] = process.execArgv): string[] {
  return [...execArgv.filter((flag) => OWN_FLAGS.some((own) => flag.startsWith(own))), '--'];
}

/**
 * A word for the code that runs: another build, another word. Of a bundle its content; of sources, which change under a
 * developer's hands, when the last of them was written.
 */
export function programStamp(program = WEFT_PROGRAM): string {
  if (!program.endsWith('.ts')) return hash('sha256', readFileSync(program));
  const sources = dirname(dirname(program));
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const newestMs = files.reduce((newest, name) => Math.max(newest, statSync(join(sources, name)).mtimeMs), 0);
  return `${files.length} ${newestMs}`;
}
