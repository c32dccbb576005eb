import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import { isDnsName } from '#model/dns/alias.ts';
import type { RawDestination, RawRouteDestination } from './schema.ts';

/** The only destination needs no weight. */
export function checkShares(route: readonly Pick<RawRouteDestination, 'destination' | 'weight'>[], path: FieldPath): Problem[] {
  const problems = route.flatMap(({ destination, weight = 0 }, at) => [
    ...checkDestination(destination, [...path, at, 'destination']),
    ...(weight < 0 ? [errorAt('WEFT_FIELD_INVALID', [...path, at, 'weight'], `${weight} is no weight`, 'write 0 or more')] : []),
  ]);
  const total = route.reduce((sum, { weight = 0 }) => sum + weight, 0);
  if (route.length > 1 && total === 0) {
    const message = 'the weights come to 0, so nobody would get a request: of several destinations each needs its own';
    problems.push(errorAt('WEFT_FIELD_INVALID', path, message, 'write weight for each'));
  }
  return problems;
}

/** Whether it is there is found out later, and may change. */
export function checkDestination({ host, port }: RawDestination, path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  if (!isDnsName(host.toLowerCase()))
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'host'], `"${host}" is no host`, 'write the name of a service'));
  const number = port?.number ?? 0;
  if (number > 65_535)
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'port', 'number'], `${number} is not a port`, 'write 1 to 65535'));
  return problems;
}
