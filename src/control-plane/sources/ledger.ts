import { isDeepStrictEqual } from 'node:util';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { MultiMap } from '#control-plane/index/multi-map.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import { nameOfResource, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import type { StandIn } from '#control-plane/resources/stand-in.ts';
import { duplicates } from '#control-plane/sources/ledger-findings.ts';
import { type Claim, namesOf, providedBy, type Reading, readUnit, type Unit } from '#control-plane/sources/ledger-unit.ts';
import type { SourceChange } from '#control-plane/sources/source.ts';
import { atOnce, type Work } from '#model/effects/work.ts';

/** The version of a resource that is in force, and which unit it comes from; `standIn`: there is no good one. */
type Winner = { resource: Resource; unit: string; standIn: StandIn | null };

/**
 * What every source keeps of its resources, whatever it reads them from. An entry that became invalid keeps its last good
 * version in force, or its stand-in where there is none; one that is gone is removed; of two with the same name the first counts
 * (by unit, then position). A change costs what its units name.
 */
export class ResourceLedger {
  readonly #units = new Map<string, Unit>();
  /** Resource → units that claim it or keep it. */
  readonly #speakers = new MultiMap<ResourceName, string>();
  readonly #winners = new Map<ResourceName, Winner>();
  /** Only of units and names that have any. */
  readonly #findings = new Map<string, readonly Finding[]>();
  readonly #duplicates = new Map<ResourceName, readonly Finding[]>();
  readonly #conditions = new Map<ResourceName, readonly Condition[]>();
  readonly #heirs = new Set<string>();
  /** Claims of units by name, for as long as a change is taken. */
  readonly #byName = new Map<string, MultiMap<ResourceName, Claim>>();
  readonly #documents = new WeakMap<Resource, object>();
  /** What units provided before a restart; forgotten with the first `take`, which uses it up. */
  readonly #remembered = new Map<string, ReadonlyMap<ResourceName, Resource>>();

  /** Before the first `take`: the last good versions that a unit provided when they were kept. */
  remember(unit: string, versions: readonly { resource: Resource; document: object }[]): void {
    for (const { resource, document } of versions) this.#documents.set(resource, document);
    this.#remembered.set(unit, new Map(versions.map(({ resource }) => [nameOfResource(resource), resource])));
  }

  /** Takes what changed units say now; null: the unit is gone. */
  take(units: ReadonlyMap<string, Reading | null>): SourceChange {
    return atOnce(this.taking(units));
  }

  /** The same piece by piece; until it is at its end, nothing else may be asked of the ledger but what is wrong. */
  *taking(units: ReadonlyMap<string, Reading | null>): Work<SourceChange> {
    const touched = new Set<ResourceName>();
    for (const [id, reading] of units) {
      for (const name of this.#replace(id, reading)) touched.add(name);
      yield;
    }
    const upserted: Resource[] = [];
    const removed: ResourceName[] = [];
    for (const name of touched) {
      const before = this.#winners.get(name);
      const after = this.#choose(name);
      if (after !== null) this.#winners.set(name, after);
      else if (this.#winners.delete(name)) removed.push(name);
      if (before !== undefined && before.unit !== after?.unit) this.#heirs.add(before.unit);
      if (after !== null && !isDeepStrictEqual(before?.resource, after.resource)) upserted.push(after.resource);
      yield;
    }
    this.#byName.clear();
    this.#remembered.clear();
    return { upserted, removed };
  }

  /** What is to be kept of a unit over restarts: what its last good versions were read from, in order of name. */
  lastGood(unit: string): object[] {
    const known = this.#units.get(unit);
    const own = known === undefined ? new Map<ResourceName, Resource>() : providedBy(known);
    for (const { name } of known?.claims ?? []) {
      const winner = this.#winners.get(name);
      if (!own.has(name) && winner?.unit === unit && winner.standIn === null) own.set(name, winner.resource);
    }
    const provided = [...own].sort(([a], [b]) => compareText(a, b));
    return provided.flatMap(([, resource]) => this.#documents.get(resource) ?? []);
  }

  /** Units that since the last call came to speak for a version that another one provided, or ceased to: of them more is to be kept, or less. */
  takeHeirs(): string[] {
    const heirs = [...this.#heirs];
    this.#heirs.clear();
    return heirs;
  }

  /** The resources in force. */
  resources(): Resource[] {
    return [...this.#winners.values()].map(({ resource }) => resource);
  }

  /** The unit whose version of a resource is in force; null when there is none. */
  unitOf(name: ResourceName): string | null {
    return this.#winners.get(name)?.unit ?? null;
  }

  /** What a unit describes or keeps. */
  namesIn(unit: string): ReadonlySet<ResourceName> {
    return namesOf(this.#units.get(unit) ?? null);
  }

  /** Every resource that a unit describes or keeps, in no order. */
  names(): Iterable<ResourceName> {
    return this.#speakers.keys();
  }

  /** The units that describe a resource, the one in force first. */
  unitsOf(name: ResourceName): string[] {
    const winner = this.unitOf(name);
    const others = [...this.#speakers.at(name)].filter((unit) => unit !== winner).sort(compareText);
    return winner === null ? others : [winner, ...others];
  }

  /** Everything that is wrong with what the units say now, in no order. */
  findings(): Finding[] {
    const ofUnits = [...this.#findings].flatMap(([id, findings]) => this.#tellStandIns(id, findings));
    return [...ofUnits, ...[...this.#duplicates.values()].flat()];
  }

  /** Notes all conditions of each resource named; an empty list when none are left. */
  reportConditions(changed: ReadonlyMap<ResourceName, readonly Condition[]>): void {
    for (const [name, conditions] of changed) setOrDelete(this.#conditions, name, conditions);
  }

  /** The conditions that hold now, of resources as a whole: those of single listeners are told where they are written alone. */
  conditions(): Condition[] {
    return [...this.#conditions.values()]
      .flat()
      .filter(({ listener }) => listener === undefined)
      .map(({ fields: _, ...condition }) => condition);
  }

  /** Every resource that the unit named or names. */
  #replace(id: string, reading: Reading | null): Set<ResourceName> {
    const before = this.#units.get(id) ?? null;
    for (const { resource, document } of reading?.entries ?? [])
      if (resource !== null && document) this.#documents.set(resource, document);
    const earlier = before === null ? (this.#remembered.get(id) ?? new Map<ResourceName, Resource>()) : providedBy(before);
    const { unit, findings } = reading === null ? { unit: null, findings: [] } : readUnit(reading, earlier);
    const [past, now] = [namesOf(before), namesOf(unit)];
    for (const name of past) if (!now.has(name)) this.#speakers.remove(name, id);
    for (const name of now) this.#speakers.add(name, id);
    if (unit === null) this.#units.delete(id);
    else this.#units.set(id, unit);
    this.#byName.delete(id);
    setOrDelete(this.#findings, id, findings);
    return past.union(now);
  }

  /**
   * Decides which unit speaks for a resource. What was in force until now stays where every entry that names the resource is
   * invalid (moved and broken at once); a good version elsewhere beats what a broken unit kept, and any of them a stand-in.
   */
  #choose(name: ResourceName): Winner | null {
    const speakers = [...this.#speakers.at(name)].sort(compareText);
    const claims = speakers.flatMap((unit) =>
      [...this.#claimsOf(unit).at(name)].map((claim) => ({ ...claim, unit, standIn: claim.standIns?.[0] ?? null })),
    );
    setOrDelete(this.#duplicates, name, duplicates(name, claims));
    const speaker = claims.find(({ resource }) => resource !== null) ?? claims[0];
    const resource = speaker?.resource ?? this.#lastOf(name);
    if (speaker !== undefined && speaker.resource === null && resource !== null) this.#heirs.add(speaker.unit);
    if (speaker !== undefined && resource !== null) return { resource, unit: speaker.unit, standIn: null };
    for (const unit of speakers) {
      const kept = this.#units.get(unit)?.kept.get(name);
      if (kept !== undefined) return { resource: kept, unit, standIn: null };
    }
    const closed = claims.find(({ standIn }) => standIn !== null);
    if (closed === undefined || closed.standIn === null) return null;
    return { resource: closed.standIn.resource, unit: closed.unit, standIn: closed.standIn };
  }

  #claimsOf(unit: string): MultiMap<ResourceName, Claim> {
    const known = this.#byName.get(unit);
    if (known !== undefined) return known;
    const byName = new MultiMap<ResourceName, Claim>();
    for (const claim of this.#units.get(unit)?.claims ?? []) byName.add(claim.name, claim);
    this.#byName.set(unit, byName);
    return byName;
  }

  /** The good version in force until now, or before the restart, whichever unit it came from. */
  #lastOf(name: ResourceName): Resource | null {
    const last = this.#winners.get(name);
    if (last !== undefined) return last.standIn === null ? last.resource : null;
    for (const versions of this.#remembered.values()) {
      const version = versions.get(name);
      if (version !== undefined) return version;
    }
    return null;
  }

  /** Adds to the first finding of each rejected entry what stands in for it: an author must see what else is refused now. */
  #tellStandIns(id: string, findings: readonly Finding[]): Finding[] {
    const effects = new Map<Finding, string[]>();
    for (const { name, told } of this.#units.get(id)?.claims ?? []) {
      const winner = this.#winners.get(name);
      if (!told || winner?.unit !== id || winner.standIn === null) continue;
      effects.set(told, [...(effects.get(told) ?? []), winner.standIn.effect]);
    }
    return findings.map((finding) => {
      const effect = effects.get(finding);
      return effect === undefined
        ? finding
        : { ...finding, message: `${finding.message}; until it is mended ${effect.join(', and ')}` };
    });
  }
}

/** An empty list leaves no trace. */
function setOrDelete<Key, Item>(map: Map<Key, readonly Item[]>, key: Key, list: readonly Item[]): void {
  if (list.length === 0) map.delete(key);
  else map.set(key, list);
}
