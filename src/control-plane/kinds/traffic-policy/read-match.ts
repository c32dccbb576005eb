import { firstOfEachName, readHeaders, readValueMatch } from '#control-plane/mesh/request-routes/read-rule.ts';
import type { TrafficMatch } from '#model/waypoint/traffic.ts';
import type { RawTrafficMatch } from './schema.ts';

const PATH_TYPE = { Exact: 'exact', PathPrefix: 'prefix', RegularExpression: 'regex' } as const;

/** Null: every request. `own`: the namespace of the policy. */
export function readTrafficMatch(match: RawTrafficMatch | undefined, own: string): TrafficMatch | null {
  if (match === undefined) return null;
  const { methods, path, headers, queryParams, source } = match;
  return {
    methods: methods ?? [],
    path: path === undefined ? null : { type: PATH_TYPE[path.type], value: path.value },
    headers: readHeaders(headers),
    queryParams: firstOfEachName((queryParams ?? []).map((param) => readValueMatch(param, param.name))),
    namespaces: source?.namespaces ?? [],
    serviceAccounts: (source?.serviceAccounts ?? []).map((name) => (name.includes('/') ? name : `${own}/${name}`)),
  };
}
