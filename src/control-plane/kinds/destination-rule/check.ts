import { errorAt, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isDnsName } from '#model/dns/alias.ts';
import { checkSettings } from './check-settings.ts';
import type { RawDestinationRule, RawSubset } from './schema.ts';

/** What the schema states in CEL about a DestinationRule, or cannot state. */
export function checkDestinationRule({ spec }: RawDestinationRule): Problem[] {
  if (spec === undefined) return [errorAt('WEFT_FIELD_INVALID', ['spec'], 'it says nothing', 'write spec.host')];
  const { host, subsets = [], trafficPolicy } = spec;
  return [
    ...checkHost(host),
    ...checkSettings(trafficPolicy, ['spec', 'trafficPolicy']),
    ...subsets.flatMap((subset, at) => [
      ...checkSubset(subset, subsets, at),
      ...checkSettings(subset.trafficPolicy, ['spec', 'subsets', at, 'trafficPolicy'], trafficPolicy),
    ]),
  ];
}

/** Also a wildcard, or a star for every host. */
function checkHost(host: string): Problem[] {
  if (host === '*' || isDnsName(host.toLowerCase().replace(/^\*\./, ''))) return [];
  return [errorAt('WEFT_FIELD_INVALID', ['spec', 'host'], `"${host}" is no host`, 'write the name of a service')];
}

/** A name is part of what routes refer to. */
function checkSubset({ name, labels = {} }: RawSubset, all: readonly RawSubset[], at: number): Problem[] {
  const path = ['spec', 'subsets', at];
  const problems: Problem[] = [];
  if (!/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name)) {
    const message = `"${name}" is no name of a subset`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'name'], message, 'use letters, digits, -, _ and ., 63 at most'));
  }
  if (all.findIndex((other) => other.name === name) < at)
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'name'], `subset ${name} is listed twice`, 'remove one of them'));
  if (Object.keys(labels).length === 0) {
    const message = `subset ${name} has no labels, so every endpoint is in it`;
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, message, 'write the labels that its endpoints have'));
  }
  return problems;
}
