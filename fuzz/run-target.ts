import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { mutants } from './mutation.ts';
import type { FuzzTarget } from './target.ts';

/** How often, and from which seed of chance. */
export type FuzzRuns = { runs: number; seed: number };

/** What a target made of its runs; `failure` names the input to keep as a test, and the seed and path that find it again. */
export type FuzzOutcome = { runs: number; failure: string | null };

/** The inputs a target starts from: one JSON string a line, a character per byte. */
export function corpusOf(name: string): Buffer[] {
  const text = readFileSync(new URL(`./corpus/${name}.txt`, import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line.startsWith('"'));
  return lines.map((line) => Buffer.from(JSON.parse(line) as string, 'latin1'));
}

/** An input as a line of a corpus. */
export function corpusLine(bytes: Buffer): string {
  // Escaped beyond ASCII, so that a corpus is text to every tool.
  const escaped = JSON.stringify(bytes.toString('latin1'));
  return escaped.replace(/[\u007f-\u00ff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Checks a target on every input of its corpus, then on mutants of them. */
export async function runTarget(target: FuzzTarget, seeds: readonly Buffer[], { runs, seed }: FuzzRuns): Promise<FuzzOutcome> {
  for (const bytes of seeds) {
    for (const cut of [0, bytes.length >> 1, Math.max(0, bytes.length - 1)]) await target.check(bytes, cut);
  }
  const property = fc.asyncProperty(mutants(seeds, target.tokens), async ({ bytes, cut }) => target.check(bytes, cut));
  const details = await fc.check(property, { numRuns: target.slow === true ? Math.ceil(runs / 10) : runs, seed });
  const [found] = details.counterexample ?? [];
  if (!details.failed || found === undefined) return { runs: details.numRuns, failure: null };
  const error = details.errorInstance instanceof Error ? (details.errorInstance.stack ?? details.errorInstance.message) : '';
  return {
    runs: details.numRuns,
    failure: [
      `${target.name}: seed ${details.seed}, path ${details.counterexamplePath}, cut at ${found.cut}`,
      shortened(corpusLine(found.bytes)),
      error,
    ].join('\n'),
  };
}

/** Long inputs are found again by seed and path. */
const SHOWN_CHARACTERS_MAX = 2_000;

function shortened(line: string): string {
  return line.length <= SHOWN_CHARACTERS_MAX ? line : `${line.slice(0, SHOWN_CHARACTERS_MAX)}… (${line.length} characters)`;
}
