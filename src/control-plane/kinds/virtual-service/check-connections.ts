import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { tryParseCidr } from '#model/address/ip.ts';
import { isDnsName } from '#model/dns/alias.ts';
import { checkClients } from './check-match.ts';
import { checkShares } from './check-shares.ts';
import { mayMatch } from './read-connections.ts';
import type { RawConnectionMatch, RawConnectionRule } from './schema.ts';

/** What the schema states in CEL about an entry of tls or tcp, or cannot state. `hosts`: those of the VirtualService. */
export function checkConnections(
  { match = [], route = [] }: RawConnectionRule,
  field: 'tls' | 'tcp',
  hosts: readonly string[],
  path: FieldPath,
): Problem[] {
  const problems = match.flatMap((one, at) => checkConnectionMatch(one, hosts, [...path, 'match', at]));
  if (field === 'tls' && match.length === 0) {
    const message = 'it does not say which names it is for';
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'match'], message, 'write match[].sniHosts, or move it to tcp'));
  }
  if (route.length === 0)
    problems.push(errorAt('WEFT_FIELD_INVALID', path, 'it says not where its connections go', 'write route'));
  return [...problems, ...checkShares(route, [...path, 'route'])];
}

function checkConnectionMatch(match: RawConnectionMatch, hosts: readonly string[], path: FieldPath): Problem[] {
  const { port = 0, sniHosts, destinationSubnets = [] } = match;
  const problems = destinationSubnets.flatMap((text, at) => {
    if (tryParseCidr(text) !== null) return [];
    const message = `"${text}" is no block of addresses`;
    return [errorAt('WEFT_FIELD_INVALID', [...path, 'destinationSubnets', at], message, 'write such as 10.0.0.0/8 or fd00::1')];
  });
  if (port > 65_535) problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'port'], `${port} is not a port`, 'write 1 to 65535'));
  if (sniHosts?.length === 0)
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'sniHosts'], 'it is for no name', 'write the names that clients ask for'),
    );
  for (const [at, name] of (sniHosts ?? []).entries()) problems.push(...checkName(name, hosts, [...path, 'sniHosts', at]));
  return [...problems, ...checkClients(match, path), ...checkSubnet(match, path)];
}

/** As Istio has it, a route is for names of its hosts alone. */
function checkName(name: string, hosts: readonly string[], path: FieldPath): Problem[] {
  const lower = name.toLowerCase();
  if (!isDnsName(lower.replace(/^\*\./, ''))) {
    const message = `"${name}" is no name that a client could ask for`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'write a name such as db.example.com, or *.example.com')];
  }
  if (hosts.some((host) => isOf(lower, host.toLowerCase()))) return [];
  const message = `"${name}" is not among the hosts of the VirtualService`;
  return [errorAt('WEFT_FIELD_INVALID', path, message, 'add it to spec.hosts, or write a name that is there')];
}

/** A short name of a service stands for its longer ones. */
function isOf(name: string, host: string): boolean {
  if (name === host) return true;
  return host.startsWith('*.') ? name.endsWith(host.slice(1)) : !host.includes('.') && name.startsWith(`${host}.`);
}

function checkSubnet(match: RawConnectionMatch, path: FieldPath): Problem[] {
  if (mayMatch(match) || !match.sourceSubnet) return [];
  const message = 'the addresses of clients are not compared (nor are they by Istio), so this entry never matches';
  return [warningAt('WEFT_NOT_ENFORCED', [...path, 'sourceSubnet'], message, 'match by sourceNamespace')];
}
