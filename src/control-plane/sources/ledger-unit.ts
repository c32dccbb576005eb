import type { Finding } from '#control-plane/resources/finding.ts';
import { nameOfResource, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import type { StandIn } from '#control-plane/resources/stand-in.ts';
import { firstError, tellWhatStays } from '#control-plane/sources/ledger-findings.ts';
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
  /** What takes the place of a rejected one where no earlier version is known; several where it may have been several. */
  standIns?: readonly StandIn[];
  /** What it was read from, where its last good version is to be kept over restarts. */
  document?: object | null;
};

/**
 * What one unit says: a unit is what a source reads as a whole, a file or an object. `findings` are those of the entries and
 * of what is no entry (a kind that nobody reads), in order.
 */
export type Reading = { entries: readonly Entry[]; findings: readonly Finding[] };

/**
 * One unit's say about one resource: of one with which all is well, that is the entry itself. resource null: it is invalid, and this
 * unit never had a good version of it.
 */
export type Claim = {
  name: ResourceName;
  resource: Resource | null;
  standIns?: readonly StandIn[];
  origin: Origin;
  /** The finding that says what became of it; absent when all is well. */
  told?: Finding | null;
};

/** What one unit says, and what it said before as far as that counts. */
export type Unit = {
  /** In order of position. */
  claims: readonly Claim[];
  /**
   * Resources that the unit provided before and no longer names, kept because an entry in it cannot be identified: it may be
   * one of these.
   */
  kept: ReadonlyMap<ResourceName, Resource>;
};

/** What cannot be read of a unit falls back on what the same unit said before. */
export function readUnit(
  { entries, findings }: Reading,
  past: ReadonlyMap<ResourceName, Resource>,
): { unit: Unit; findings: readonly Finding[] } {
  const entryOf = new Map(entries.flatMap((entry) => entry.findings.map((finding) => [finding, entry])));
  const identified = entries.filter(isIdentified);
  const staying = new Set(identified.flatMap(({ name, resource }) => ((resource ?? past.get(name)) ? [name] : [])));
  const sentenceOf = new Map(findings.map((finding) => [finding, tellWhatStays(finding, entryOf.get(finding), staying)]));
  const toldOf = (own: readonly Finding[]): Finding | null => {
    const first = firstError(own);
    return first === undefined ? null : (sentenceOf.get(first) ?? null);
  };
  const claims = identified.map((entry): Claim => {
    const { name, resource, origin, standIns = [], findings: own } = entry;
    if (resource !== null && own.length === 0) return entry;
    return { name, resource: resource ?? past.get(name) ?? null, standIns, origin, told: toldOf(own) };
  });
  const named = new Set(claims.map(({ name }) => name));
  const unidentified = entries.filter(({ name }) => name === null);
  const kept = new Map(unidentified.length > 0 ? [...past].filter(([name]) => !named.has(name)) : []);
  claims.push(...unidentified.flatMap((entry) => claimsOfNobody(entry, [...kept.values()], toldOf(entry.findings))));
  return { unit: { claims, kept }, findings: [...sentenceOf.values()] };
}

function isIdentified(entry: Entry): entry is Entry & { name: ResourceName } {
  return entry.name !== null;
}

/**
 * Of an entry that cannot be identified its stand-ins, unless the unit kept something of that kind and namespace: then it most
 * likely is that, whose last good version stays.
 */
function claimsOfNobody({ origin, standIns = [] }: Entry, kept: readonly Resource[], told: Finding | null): Claim[] {
  return standIns.flatMap((standIn) => {
    const { kind, metadata } = standIn.resource;
    if (kept.some((one) => one.kind === kind && one.metadata.namespace === metadata.namespace)) return [];
    return [{ name: nameOfResource(standIn.resource), resource: null, standIns: [standIn], origin, told }];
  });
}

/** The versions that a unit speaks for. */
export function providedBy({ claims, kept }: Unit): Map<ResourceName, Resource> {
  const provided = new Map(kept);
  for (const { name, resource } of claims) if (resource !== null) provided.set(name, resource);
  return provided;
}

/** Every resource that a unit names or keeps. */
export function namesOf(unit: Unit | null): Set<ResourceName> {
  return unit === null ? new Set() : new Set([...unit.claims.map(({ name }) => name), ...unit.kept.keys()]);
}
