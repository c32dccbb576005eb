import { byPlace, type Finding, type Problem } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Source } from '#control-plane/sources/source.ts';
import { IdlePolicies, type MeshChange } from '#control-plane/status/idle-policies.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

const IDLE_MAX = RESOURCE.idlePoliciesMax;

/** Everything that is wrong with the configuration now: what its source found in it, and what the index found. */
export class FindingsBoard {
  readonly #source: Pick<Source, 'findings' | 'locate'>;
  readonly #problems = new Map<ResourceName, readonly Problem[]>();
  readonly #idle: IdlePolicies;
  #shown = new Set<string>();

  constructor(source: Pick<Source, 'findings' | 'locate'>, trustDomain: string) {
    this.#source = source;
    this.#idle = new IdlePolicies(trustDomain);
  }

  /** What has changed. All problems of each resource named; an empty list when none are left. */
  take({ problems, mesh }: { problems: ReadonlyMap<ResourceName, readonly Problem[]>; mesh: MeshChange }): void {
    this.#idle.apply(mesh);
    for (const [name, list] of problems) {
      if (list.length === 0) this.#problems.delete(name);
      else this.#problems.set(name, list);
    }
  }

  /** In order of place. */
  all(): Finding[] {
    return [...this.#source.findings(), ...this.#source.locate(this.#problems)].sort(byPlace);
  }

  /** The same, and what depends on what runs at this moment: that is not for the log, where it would come and go with each workload. */
  now(): Finding[] {
    return [...this.all(), ...this.#source.locate(this.#idle.problems(IDLE_MAX))].sort(byPlace);
  }

  /** What `now` leaves out, in a sentence; null: nothing. */
  unlisted(): string | null {
    if (this.#idle.problems(IDLE_MAX + 1).size <= IDLE_MAX) return null;
    return `more than ${IDLE_MAX} policies match nothing now, of which so many are told`;
  }

  /** What was not there the last time this was asked: for the log, which tells each finding once. */
  news(): Finding[] {
    // By content: a finding that moves a line is told again, which is right, since its reader looks for that line.
    const all = this.all();
    const fresh = all.filter((finding) => !this.#shown.has(JSON.stringify(finding)));
    this.#shown = new Set(all.map((finding) => JSON.stringify(finding)));
    return fresh;
  }
}
