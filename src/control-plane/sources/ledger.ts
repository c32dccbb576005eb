import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { errorAt, type Finding, findingOf, formatOrigin } from '#control-plane/resources/finding.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { SourceChange } from '#control-plane/sources/source.ts';
import type { Origin } from '#protocol/api/control.ts';

/** One document of a file, or one object: its say about one resource. */
export type Entry = {
  /** null: it cannot be told which resource it was meant to be. */
  name: ResourceName | null;
  /** null: rejected. */
  resource: Resource | null;
  /** Where it begins. */
  origin: Origin;
  findings: readonly Finding[];
};

/**
 * What one unit says: a unit is what a source reads as a whole, a file or an object. `findings` are those of the entries and
 * of what is no entry (a kind that nobody reads), in order.
 */
export type Reading = { entries: readonly Entry[]; findings: readonly Finding[] };

/** One unit's say about one resource. resource null: it is invalid, and this unit never had a good version of it. */
type Claim = { name: ResourceName; resource: Resource | null; origin: Origin };

type Unit = {
  /** In order of position. */
  claims: readonly Claim[];
  /**
   * Resources that the unit provided before and no longer names, kept because an entry in it cannot be identified: it may be
   * one of these.
   */
  kept: ReadonlyMap<ResourceName, Resource>;
};

/** The version of a resource that is in force, and which unit it comes from. */
type Winner = { resource: Resource; unit: string };

/**
 * What every source keeps of its resources, whatever it reads them from. An entry that became invalid keeps its last good
 * version in force; one that is gone is removed; of two with the same name the first (by unit, then position) counts. A change
 * costs what its units name, however many others there are.
 */
export class ResourceLedger {
  readonly #units = new Map<string, Unit>();
  /** Resource → units that claim it or keep it. */
  readonly #speakers = new Map<ResourceName, Set<string>>();
  readonly #winners = new Map<ResourceName, Winner>();
  /** Only of units and names that have any. */
  readonly #findings = new Map<string, readonly Finding[]>();
  readonly #duplicates = new Map<ResourceName, readonly Finding[]>();
  readonly #conditions = new Map<ResourceName, readonly Condition[]>();

  /** Takes what changed units say now; null: the unit is gone. */
  take(units: ReadonlyMap<string, Reading | null>): SourceChange {
    const touched = new Set<ResourceName>();
    for (const [id, reading] of units) for (const name of this.#replace(id, reading)) touched.add(name);
    const upserted: Resource[] = [];
    const removed: ResourceName[] = [];
    for (const name of touched) {
      const before = this.#winners.get(name);
      const after = this.#choose(name);
      if (after !== null) this.#winners.set(name, after);
      else if (this.#winners.delete(name)) removed.push(name);
      if (after !== null && !isDeepStrictEqual(before?.resource, after.resource)) upserted.push(after.resource);
    }
    return { upserted, removed };
  }

  /** The resources in force. */
  resources(): Resource[] {
    return [...this.#winners.values()].map(({ resource }) => resource);
  }

  /** The unit whose version of a resource is in force; null when there is none. */
  unitOf(name: ResourceName): string | null {
    return this.#winners.get(name)?.unit ?? null;
  }

  /** Everything that is wrong with what the units say now, in no order. */
  findings(): Finding[] {
    return [...this.#findings.values(), ...this.#duplicates.values()].flat();
  }

  /** Notes all conditions of each resource named; an empty list when none are left. */
  reportConditions(changed: ReadonlyMap<ResourceName, readonly Condition[]>): void {
    for (const [name, conditions] of changed) setOrDelete(this.#conditions, name, conditions);
  }

  /** The conditions that hold now. */
  conditions(): Condition[] {
    return [...this.#conditions.values()].flat();
  }

  /** Every resource that the unit named or names. */
  #replace(id: string, reading: Reading | null): Set<ResourceName> {
    const before = this.#units.get(id) ?? null;
    const { unit, findings } = reading === null ? { unit: null, findings: [] } : readUnit(reading, before);
    const [past, now] = [namesOf(before), namesOf(unit)];
    for (const name of past) if (!now.has(name)) this.#unspeak(name, id);
    for (const name of now) this.#speakers.set(name, (this.#speakers.get(name) ?? new Set()).add(id));
    if (unit === null) this.#units.delete(id);
    else this.#units.set(id, unit);
    setOrDelete(this.#findings, id, findings);
    return past.union(now);
  }

  #unspeak(name: ResourceName, id: string): void {
    const speakers = this.#speakers.get(name);
    if (speakers?.delete(id) && speakers.size === 0) this.#speakers.delete(name);
  }

  /**
   * Decides which unit speaks for a resource. What was in force until now stays where every entry that names the resource is
   * invalid (moved and broken at once); a good version elsewhere beats what a broken unit kept.
   */
  #choose(name: ResourceName): Winner | null {
    const speakers = [...(this.#speakers.get(name) ?? [])].sort(compareText);
    const claims = speakers.flatMap((unit) =>
      (this.#units.get(unit)?.claims ?? []).filter((claim) => claim.name === name).map((claim) => ({ ...claim, unit })),
    );
    setOrDelete(this.#duplicates, name, duplicates(name, claims));
    const speaker = claims.find(({ resource }) => resource !== null) ?? claims[0];
    const resource = speaker?.resource ?? this.#winners.get(name)?.resource ?? null;
    if (speaker !== undefined && resource !== null) return { resource, unit: speaker.unit };
    for (const unit of speakers) {
      const kept = this.#units.get(unit)?.kept.get(name);
      if (kept !== undefined) return { resource: kept, unit };
    }
    return null;
  }
}

/** What cannot be read of a unit falls back on what the same unit said before. */
function readUnit({ entries, findings }: Reading, before: Unit | null): { unit: Unit; findings: readonly Finding[] } {
  const past = before === null ? new Map<ResourceName, Resource>() : providedBy(before);
  const claims = entries.flatMap(({ name, resource, origin }) =>
    name === null ? [] : [{ name, resource: resource ?? past.get(name) ?? null, origin }],
  );
  const named = new Set(claims.map(({ name }) => name));
  const hasUnidentified = entries.some(({ name }) => name === null);
  const kept = new Map(hasUnidentified ? [...past].filter(([name]) => !named.has(name)) : []);
  return { unit: { claims, kept }, findings: findings.map((finding) => tellWhatStays(finding, entries, claims)) };
}

function providedBy({ claims, kept }: Unit): Map<ResourceName, Resource> {
  const provided = new Map(kept);
  for (const { name, resource } of claims) if (resource !== null) provided.set(name, resource);
  return provided;
}

function namesOf(unit: Unit | null): Set<ResourceName> {
  return unit === null ? new Set() : new Set([...unit.claims.map(({ name }) => name), ...unit.kept.keys()]);
}

/** Adds to the first error of a rejected entry that its last good version is still in force. */
function tellWhatStays(finding: Finding, entries: readonly Entry[], claims: readonly Claim[]): Finding {
  const entry = entries.find(({ findings }) => findings.includes(finding));
  if (entry === undefined || entry.name === null || entry.resource !== null) return finding;
  const first = entry.findings.find(({ severity }) => severity === 'error') === finding;
  const stays = claims.some(({ name, resource }) => name === entry.name && resource !== null);
  return first && stays ? { ...finding, message: `${finding.message}; the last good version stays in force` } : finding;
}

function duplicates(name: ResourceName, [first, ...others]: readonly Claim[]): Finding[] {
  if (first === undefined) return [];
  return others.map(({ origin }) => {
    const message = `already described ${whereOf(first.origin)}; the document here is ignored`;
    return findingOf(errorAt('WEFT_RESOURCE_DUPLICATE', [], message, 'remove one of the two, or rename it'), name, origin);
  });
}

function whereOf(origin: Origin): string {
  return origin.kind === 'file' ? `at ${origin.file}:${origin.line}` : `by another object, ${formatOrigin(origin)}`;
}

/** An empty list leaves no trace. */
function setOrDelete<Key, Item>(map: Map<Key, readonly Item[]>, key: Key, list: readonly Item[]): void {
  if (list.length === 0) map.delete(key);
  else map.set(key, list);
}
