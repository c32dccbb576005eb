import { corpusLine, corpusOf } from '../run-target.ts';
import type { Comparison } from './comparison.ts';
import { Chance, Mutator } from './mutator.ts';

/** What came of so many runs. `explained`: how often, by reason; `failure` names the run and the input. */
export type Compared = {
  runs: number;
  agreed: number;
  refused: number;
  explained: Map<string, number>;
  failure: string | null;
};

/** Runs `first` to `first + runs` of a seed; stops at the first difference that nothing explains. */
export function runComparison(comparison: Comparison, seed: number, first: number, runs: number): Compared {
  const seeds = comparison.corpora.flatMap(corpusOf);
  const mutator = new Mutator(seeds, comparison.tokens);
  const chance = new Chance();
  const told: Compared = { runs: 0, agreed: 0, refused: 0, explained: new Map(), failure: null };
  for (let run = first; run < first + runs; run++) {
    chance.begin(seed, run);
    const bytes = mutator.next(chance);
    told.runs++;
    try {
      const outcome = comparison.compare(bytes);
      if (typeof outcome === 'string') told[outcome]++;
      else told.explained.set(outcome.explained, (told.explained.get(outcome.explained) ?? 0) + 1);
    } catch (error) {
      told.failure = `${comparison.name}: seed ${seed}, run ${run}\n${corpusLine(bytes)}\n${error instanceof Error ? error.stack : error}`;
      return told;
    }
  }
  return told;
}
