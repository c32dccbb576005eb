import { readFileSync } from 'node:fs';
import { release, type } from 'node:os';

const PACKAGE = new URL('../../../package.json', import.meta.url);

/** The version of this source tree. */
export function weftVersion(): string {
  const text = readFileSync(PACKAGE, 'utf8');
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? 'unknown';
}

/** `weft version`. */
export async function version(): Promise<number> {
  process.stdout.write(`weft ${weftVersion()} (Node.js ${process.version}, ${type()} ${release()})\n`);
  return 0;
}
