import { byPlace, type Finding, type Problem } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';

/** Gives problems of the index their place in the files. */
export type LocateProblems = (problems: ReadonlyMap<ResourceName, readonly Problem[]>) => Finding[];

/** Everything that is wrong with the configuration now: what reading the files found, and what the index found. */
export class FindingsBoard {
  #ofFiles: readonly Finding[] = [];
  readonly #problems = new Map<ResourceName, readonly Problem[]>();
  #shown = new Set<string>();

  takeFiles(findings: readonly Finding[]): void {
    this.#ofFiles = findings;
  }

  /** All problems of each resource named; an empty list when none are left. */
  takeProblems(problems: ReadonlyMap<ResourceName, readonly Problem[]>): void {
    for (const [name, list] of problems) {
      if (list.length === 0) this.#problems.delete(name);
      else this.#problems.set(name, list);
    }
  }

  /** In order of place. */
  all(locate: LocateProblems): Finding[] {
    return [...this.#ofFiles, ...locate(this.#problems)].sort(byPlace);
  }

  /** What was not there the last time this was asked: for the log, which tells each finding once. */
  news(locate: LocateProblems): Finding[] {
    const all = this.all(locate);
    const fresh = all.filter((finding) => !this.#shown.has(JSON.stringify(finding)));
    this.#shown = new Set(all.map((finding) => JSON.stringify(finding)));
    return fresh;
  }
}
