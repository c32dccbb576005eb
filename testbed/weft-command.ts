import { fileURLToPath } from 'node:url';

/** The directory that holds bin/, src/ and examples/. */
export const REPO_ROOT = fileURLToPath(new URL('../', import.meta.url));

/** A `weft` command line. The shell of bin/weft becomes Node.js, so the process id stays. */
export function weft(...args: string[]): string[] {
  return [`${REPO_ROOT}bin/weft`, ...args];
}

/** A program of the bookshop example. */
export function shopProgram(name: string, ...args: string[]): string[] {
  return [process.execPath, `${REPO_ROOT}examples/bookshop/${name}.ts`, ...args];
}

/** A program of the demo itself: `probe/probe` or `outside/dns-server`. */
export function demoProgram(name: string, ...args: string[]): string[] {
  return [process.execPath, `${REPO_ROOT}testbed/${name}.ts`, ...args];
}
