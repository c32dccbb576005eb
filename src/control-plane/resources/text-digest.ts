import { hash } from 'node:crypto';
import type { Work } from '#model/effects/work.ts';

/** A word for a text. */
export function hashOf(text: string): string {
  return hash('sha256', text);
}

/** A word for texts by names, files say, by their words: others, another word. */
export function digestOf(hashes: readonly [name: string, textHash: string][]): string {
  const lines = hashes.map(([name, textHash]) => `${textHash} ${name}\n`).sort();
  return hashOf(lines.join(''));
}

/** The same from the texts themselves, piece by piece; null stands for a file that is gone. */
export function* digestOfTexts(texts: ReadonlyMap<string, string | null>): Work<string> {
  const hashes: [string, string][] = [];
  for (const [path, text] of texts) {
    if (text !== null) hashes.push([path, hashOf(text)]);
    yield;
  }
  return digestOf(hashes);
}
