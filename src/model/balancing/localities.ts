import type { Scope } from '#model/mesh/service.ts';
import type { Locality } from '#model/waypoint/destination-settings.ts';
import { type ClientLocation, localityRank, placeIn } from './endpoints.ts';
import type { LoadedEndpoint } from './least-request.ts';

/** What is looked at of an endpoint. */
type Placed = LoadedEndpoint & { readonly workload: Parameters<typeof localityRank>[1] };

/** Endpoints in groups: one is taken from the next only as far as the one before cannot take it, or each has its share. */
export type LocalityGroups<E> =
  | { readonly kind: 'in-order'; readonly groups: readonly (readonly E[])[] }
  | { readonly kind: 'shares'; readonly groups: readonly { readonly endpoints: readonly E[]; readonly weight: number }[] };

const NEAREST: readonly Scope[] = ['region', 'zone', 'subzone'];

/**
 * The groups of some endpoints as seen from a place (Istio: W51). `preference`: that of their service, if it has one. Null: they are all
 * alike, as where nobody knows where this is.
 */
export function groupsOf<E extends Placed>(
  setting: Locality,
  endpoints: readonly E[],
  client: ClientLocation,
  preference: readonly Scope[],
): LocalityGroups<E> | null {
  switch (setting.kind) {
    case 'off':
      return null;
    case 'nearest':
      return preference.length > 0
        ? inOrder(endpoints, ({ workload }) => -localityRank(preference, workload, client))
        : nearest(endpoints, client, []);
    case 'failover':
      return nearest(endpoints, client, setting.regions);
    case 'priority':
      return inOrder(endpoints, ({ workload }) => {
        const mismatch = setting.scopes.findIndex(
          ({ scope, value }) => placeIn(scope, workload) !== (value ?? placeIn(scope, client)),
        );
        return mismatch < 0 ? 0 : setting.scopes.length - mismatch;
      });
    case 'distribute': {
      if (client.locality.region === '') return null;
      const rule = setting.shares.find(({ from }) => isIn(client.locality, from));
      return rule === undefined ? null : { kind: 'shares', groups: sharesOf(rule.to, endpoints) };
    }
  }
}

/** By region, zone and subzone. Without a region nobody is near. */
function nearest<E extends Placed>(
  endpoints: readonly E[],
  client: ClientLocation,
  regions: readonly { readonly from: string; readonly to: string }[],
): LocalityGroups<E> | null {
  const { region } = client.locality;
  if (region === '') return null;
  const to = regions.find(({ from }) => from === region)?.to ?? null;
  return inOrder(endpoints, ({ workload }) => {
    const far = NEAREST.length - localityRank(NEAREST, workload, client);
    return far === NEAREST.length && to !== null && workload.locality.region !== to ? far + 1 : far;
  });
}

/** Nearest first; those who are as far stand together. */
function inOrder<E extends Placed>(endpoints: readonly E[], distanceOf: (endpoint: E) => number): LocalityGroups<E> {
  const byDistance = [...Map.groupBy(endpoints, distanceOf)].sort(([a], [b]) => a - b);
  return { kind: 'in-order', groups: byDistance.map(([, group]) => group) };
}

/** A share of several places is divided by what their endpoints weigh; an endpoint is in the share that names its place most exactly. */
function sharesOf<E extends Placed>(
  to: readonly { readonly place: string; readonly weight: number }[],
  endpoints: readonly E[],
): { endpoints: readonly E[]; weight: number }[] {
  const exactFirst = to.toSorted((a, b) => partsOf(b.place).length - partsOf(a.place).length);
  const shareOf = ({ workload }: E): number => exactFirst.findIndex(({ place }) => isIn(workload.locality, place));
  return [...Map.groupBy(endpoints, shareOf)].flatMap(([at, members]) => {
    const weight = exactFirst[at]?.weight ?? 0;
    const whole = weightOf(members);
    const byPlace = Map.groupBy(members, ({ workload: { locality } }) => Object.values(locality).join('/'));
    return weight === 0 ? [] : [...byPlace.values()].map((one) => ({ endpoints: one, weight: (weight * weightOf(one)) / whole }));
  });
}

function weightOf(endpoints: readonly LoadedEndpoint[]): number {
  return endpoints.reduce((sum, { capacity }) => sum + capacity, 0);
}

/** The parts of a place that restrict anything. */
function partsOf(place: string): string[] {
  const parts = place.split('/');
  const open = parts.findIndex((part) => part === '*' || part === '');
  return open < 0 ? parts : parts.slice(0, open);
}

function isIn({ region, zone, subzone }: ClientLocation['locality'], place: string): boolean {
  const own = [region, zone, subzone];
  return partsOf(place).every((part, at) => part === own[at]);
}

/** How many endpoints a group has, and how many of those are not left out for their failures. */
export type GroupHealth = { readonly total: number; readonly healthy: number };

/** Fixed by Envoy: a group takes all of its load as long as so many hundredths of what is left of it suffice. */
const OVERPROVISION = 140;

/** What a group can take of its load, in hundredths. */
function availability({ total, healthy }: GroupHealth): number {
  return total === 0 ? 0 : Math.min(100, (OVERPROVISION * healthy) / total);
}

/**
 * Which part of all requests each group gets, and whether also its endpoints that are left out serve: when so few are left in it, and the
 * others cannot take what it lacks, that it is rather the network that fails (`minHealthPercent`).
 */
export function loadsInOrder(groups: readonly GroupHealth[], minHealthPercent: number): { load: number; panics: boolean }[] {
  const available = groups.map(availability);
  const sum = available.reduce((total, one) => total + one, 0);
  let left = 1;
  return groups.map(({ healthy, total }, at) => {
    const panics = sum < 100 && total > 0 && (100 * healthy) / total < minHealthPercent;
    // With nobody left anywhere the nearest are asked, or nobody is.
    const wanted = sum === 0 ? (at === 0 ? 1 : 0) : (available[at] ?? 0) / Math.min(100, sum);
    const load = Math.min(left, wanted);
    left -= load;
    return { load, panics };
  });
}

/** The same of groups that have a share each: one gets less by as much as it can take less. */
export function loadsByShare(
  groups: readonly (GroupHealth & { readonly weight: number })[],
  minHealthPercent: number,
): { load: number; panics: boolean }[] {
  const healthy = groups.reduce((sum, one) => sum + one.healthy, 0);
  const total = groups.reduce((sum, one) => sum + one.total, 0);
  const panics = (100 * healthy) / Math.max(1, total) < minHealthPercent;
  const effective = groups.map((one) => (panics ? one.weight : (one.weight * availability(one)) / 100));
  const sum = effective.reduce((all, one) => all + one, 0);
  return effective.map((one) => ({ load: sum === 0 ? 0 : one / sum, panics }));
}
