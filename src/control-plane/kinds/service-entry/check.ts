import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { cidrAround, formatCidr, isSingle, tryParseCidr, tryParseIp } from '#model/address/ip.ts';
import { isDnsName } from '#model/dns/alias.ts';
import type { RawEntryEndpoint, RawEntryPort, RawServiceEntry } from './schema.ts';

/** Protocols of ports, in capitals; a word that is none of them would be sniffed. */
const PROTOCOLS = ['HTTP', 'HTTPS', 'GRPC', 'GRPC-WEB', 'HTTP2', 'MONGO', 'MYSQL', 'REDIS', 'TCP', 'TLS'];

/** What the schema states in CEL about a ServiceEntry, or cannot state. */
export function checkServiceEntry(entry: RawServiceEntry): Problem[] {
  const { hosts, ports = [], endpoints = [] } = entry.spec;
  return [
    ...hosts.flatMap((host, at) => checkHost(host, ['spec', 'hosts', at])),
    ...checkAddresses(entry),
    ...checkPorts(ports),
    ...checkSources(entry),
    ...endpoints.flatMap((endpoint, at) => checkEndpoint(endpoint, entry, ['spec', 'endpoints', at])),
    ...checkExports(entry),
  ];
}

/** Whether a host stands for all names below one. */
export function isWildcard(host: string): boolean {
  return host.startsWith('*.');
}

function checkHost(host: string, path: FieldPath): Problem[] {
  if (isDnsName(isWildcard(host) ? host.slice(2).toLowerCase() : host.toLowerCase())) return [];
  const message = `"${host}" is no host: it is neither a DNS name nor one after "*."`;
  return [errorAt('WEFT_FIELD_INVALID', path, message, 'write a name such as db.example.com or *.example.com')];
}

function checkAddresses({ spec: { addresses = [], resolution = 'NONE' } }: RawServiceEntry): Problem[] {
  return addresses.flatMap((address, at): Problem[] => {
    const path = ['spec', 'addresses', at];
    const block = tryParseCidr(address);
    if (block === null) {
      return [errorAt('WEFT_FIELD_INVALID', path, `"${address}" is neither an IP address nor a block of them`, 'correct it')];
    }
    if (isSingle(block)) return [];
    if (resolution !== 'NONE' && resolution !== 'STATIC') {
      const message = `a block of addresses needs resolution NONE or STATIC, not ${resolution}`;
      return [errorAt('WEFT_FIELD_CONFLICT', path, message, 'write single addresses, or leave them out')];
    }
    const { base, length } = block;
    const meant = cidrAround(base, length);
    if (meant === null || meant.base === base) return [];
    const message = `${address} is the block ${formatCidr(meant)}`;
    return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${formatCidr(meant)}, or ${base} for the one address`)];
  });
}

function checkPorts(ports: readonly RawEntryPort[]): Problem[] {
  return ports.flatMap(({ number, protocol, targetPort }, at): Problem[] => {
    const path = ['spec', 'ports', at];
    const problems: Problem[] = [];
    for (const [name, port] of [
      ['number', number],
      ['targetPort', targetPort],
    ] as const) {
      if (port === undefined || (port >= 1 && port <= 65_535)) continue;
      problems.push(errorAt('WEFT_FIELD_INVALID', [...path, name], `${port} is not a port`, 'write a number from 1 to 65535'));
    }
    if (ports.findIndex((other) => other.number === number) < at)
      problems.push(errorAt('WEFT_FIELD_CONFLICT', path, `port ${number} is listed twice`, 'remove one of them'));
    if (protocol !== undefined && protocol !== '' && !PROTOCOLS.includes(protocol.toUpperCase())) {
      const message = `protocol ${protocol} is not carried for a ServiceEntry`;
      problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'protocol'], message, `write one of ${PROTOCOLS.join(', ')}`));
    }
    return problems;
  });
}

/** Where endpoints come from has to fit how they are resolved. */
function checkSources({ spec }: RawServiceEntry): Problem[] {
  const { resolution = 'NONE', endpoints = [], workloadSelector, hosts } = spec;
  const problems: Problem[] = [];
  const conflict = (field: string, message: string, remedy: string): void => {
    problems.push(errorAt('WEFT_FIELD_CONFLICT', ['spec', field], message, remedy));
  };
  if (endpoints.length > 0 && workloadSelector !== undefined)
    conflict('workloadSelector', 'endpoints are either written or selected, not both', 'remove one of the two');
  if (endpoints.length > 0 && resolution === 'NONE')
    conflict(
      'endpoints',
      'with resolution NONE connections go where they were going, and endpoints are never used',
      'write resolution: STATIC or DNS',
    );
  if (resolution === 'DYNAMIC_DNS')
    conflict(
      'resolution',
      'DYNAMIC_DNS, which takes the host from each request, is not supported',
      'write DNS, and one host for each name',
    );
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1)
    conflict('endpoints', 'DNS_ROUND_ROBIN takes one endpoint at most', 'write resolution: DNS');
  if (resolution.startsWith('DNS') && endpoints.length === 0 && workloadSelector === undefined && hosts.some(isWildcard))
    conflict('hosts', 'a host with a wildcard is no name that could be resolved', 'write endpoints, or resolution: NONE');
  return problems;
}

function checkEndpoint(endpoint: RawEntryEndpoint, { spec }: RawServiceEntry, path: FieldPath): Problem[] {
  const { address = '', network, ports = {} } = endpoint;
  const problems: Problem[] = [];
  const at = [...path, 'address'];
  const isName = isDnsName(address.toLowerCase()) && !/^[\d.]+$/.test(address);
  if (address === '') {
    if (!network) problems.push(errorAt('WEFT_FIELD_INVALID', at, 'an endpoint needs an address', 'add it'));
  } else if (tryParseIp(address) === null && (!isName || spec.resolution === 'STATIC')) {
    const message = `"${address}" is no address that an endpoint with resolution ${spec.resolution ?? 'NONE'} can have`;
    problems.push(errorAt('WEFT_FIELD_INVALID', at, message, 'write an IP address, or a DNS name with resolution: DNS'));
  }
  for (const [name, port] of Object.entries(ports)) {
    if (port >= 1 && port <= 65_535) continue;
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'ports', name], `${port} is not a port`, 'write a number from 1 to 65535'),
    );
  }
  return problems;
}

/** What is shown to some namespaces only is shown to fewer rather than to more. */
function checkExports({ metadata: { namespace = 'default' }, spec: { exportTo = [] } }: RawServiceEntry): Problem[] {
  if (exportTo.includes('*')) return [];
  return exportTo.flatMap((to, at): Problem[] => {
    if (to === '.' || to === namespace) return [];
    const message = `the hosts are not shown to "${to}": without "*" they are visible in their own namespace only`;
    return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'exportTo', at], message, 'write "*", or an entry in that namespace')];
  });
}
