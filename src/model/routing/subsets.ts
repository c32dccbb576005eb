import type { ServiceKey } from '#model/mesh/service.ts';
import type { ServiceSubset } from '#model/waypoint/virtual.ts';

/** Some of the endpoints of a service, by the uids of their workloads. One object for as long as its configuration holds. */
export type Subset = { readonly name: string; readonly endpoints: ReadonlySet<string> };

/** Looks up subsets of services. */
export type SubsetLookup = (service: ServiceKey, name: string) => Subset;

/** Nobody: what is sent there has no healthy upstream. */
const NOBODY: ReadonlySet<string> = new Set();

/** A subset that nobody has told of is empty: its requests must not reach the rest of the service. */
export function compileSubsets(told: readonly ServiceSubset[]): SubsetLookup {
  const known = new Map<string, Subset>(
    told.map(({ service, name, endpoints }) => [`${service} ${name}`, { name, endpoints: new Set(endpoints) }]),
  );
  return (service, name) => known.get(`${service} ${name}`) ?? { name, endpoints: NOBODY };
}
