import { ANNOTATION } from '#control-plane/mesh/well-known.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { DNS_LABEL } from '#control-plane/resources/schema.ts';
import { tryParseIp } from '#model/address/ip.ts';
import { isDnsName } from '#model/dns/alias.ts';
import type { RawService, RawServicePort } from './schema.ts';

/** Wishes about where endpoints should be; Any is that of having none. */
const DISTRIBUTIONS = ['PreferClose', 'PreferSameZone', 'PreferSameNode', 'Any'] as const;

/** The name that an alias stands for: lower case, without a final dot. */
export function aliasedName({ externalName }: RawService['spec']): string {
  return (externalName ?? '').toLowerCase().replace(/\.$/, '');
}

/** Fixed by Kubernetes: three hours. */
export const AFFINITY_TIMEOUT_S = 10_800;

/** How long a client may be silent and stays with its endpoint, in seconds. */
export function affinityTimeoutS({ sessionAffinityConfig }: RawService['spec']): number {
  return sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_TIMEOUT_S;
}

/** An alias is a name for another name: nothing else in it is used. */
function checkAlias(spec: RawService['spec']): Problem[] {
  const path = ['spec', 'externalName'];
  const name = aliasedName(spec);
  if (name === '')
    return [errorAt('WEFT_FIELD_INVALID', path, 'type ExternalName needs the name it stands for', 'add spec.externalName')];
  if (!isDnsName(name) || tryParseIp(name) !== null) {
    const why = `"${name}" is no DNS name, and an alias of anything else cannot be answered`;
    return [errorAt('WEFT_FIELD_INVALID', path, why, 'write a name; an address is dialled as it is')];
  }
  if (Object.keys(spec.selector ?? {}).length === 0) return [];
  const why = 'type ExternalName has no endpoints: clients are led to the name it stands for, and the selector picks nothing';
  return [warningAt('WEFT_FIELD_IGNORED', ['spec', 'selector'], why, 'remove it, or write type: ClusterIP')];
}

/** What the schema cannot state about a Service. */
export function checkService({ metadata, spec }: RawService): Problem[] {
  const problems = checkServiceName(metadata.name);
  if (spec.type === 'ExternalName') return [...problems, ...checkAlias(spec)];
  return [
    ...problems,
    ...checkClusterIps(spec),
    ...checkPorts(spec.ports ?? [], isHeadless(spec)),
    ...checkServiceSelector(spec),
    ...checkFamilies(spec),
    ...checkDistribution(metadata, spec),
  ];
}

/** The addresses as written, without `None` and empty ones. */
export function clusterIpsOf(spec: RawService['spec']): string[] {
  const written = spec.clusterIPs !== undefined && spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP ?? ''];
  return written.filter((ip) => ip !== '' && ip !== 'None');
}

/** Whether the service wants no address of its own. */
export function isHeadless(spec: RawService['spec']): boolean {
  return spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None';
}

/** The name becomes the first label of a hostname (RFC 1123). */
function checkServiceName(name: string): Problem[] {
  if (name.length <= 63 && new RegExp(DNS_LABEL).test(name)) return [];
  const message = `"${name}" cannot be the first part of a hostname`;
  return [errorAt('WEFT_FIELD_INVALID', ['metadata', 'name'], message, 'use at most 63 lower-case letters, digits and "-"')];
}

/** The place named is the field that was used: the list where there is one. */
function checkClusterIps(spec: RawService['spec']): Problem[] {
  const listed = spec.clusterIPs !== undefined && spec.clusterIPs.length > 0;
  return clusterIpsOf(spec).flatMap((ip) => {
    if (tryParseIp(ip) !== null) return [];
    const path = listed ? ['spec', 'clusterIPs', (spec.clusterIPs ?? []).indexOf(ip)] : ['spec', 'clusterIP'];
    const remedy = 'write an IP address, None for a headless service, or leave it out to have one allocated';
    return [errorAt('WEFT_FIELD_INVALID', path, `"${ip}" is not an IP address`, remedy)];
  });
}

/** Ports are told apart by number and protocol, and by name as soon as there are two. */
function checkPorts(ports: readonly RawServicePort[], headless: boolean): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, FieldPath>();
  // Headless services are names for their endpoints, with whatever ports those have.
  if (ports.length === 0 && !headless) {
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec', 'ports'], 'a service needs at least one port', 'add spec.ports'));
  }
  for (const [at, port] of ports.entries()) {
    const path = ['spec', 'ports', at];
    problems.push(...checkTargetPort(port, path));
    if (ports.length > 1 && !port.name) {
      problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'name'], 'with several ports each needs a name', 'add a name'));
    }
    // TCP and UDP may share a number, as DNS does.
    const keys = [`${port.port}/${port.protocol ?? 'TCP'}`, ...(port.name ? [`name "${port.name}"`] : [])];
    for (const key of keys) {
      if (seen.has(key)) problems.push(errorAt('WEFT_FIELD_CONFLICT', path, `port ${key} is listed twice`, 'remove one of them'));
      seen.set(key, path);
    }
  }
  return problems;
}

/** A number in quotes looks like the name of a port and would never be found. */
function checkTargetPort({ targetPort }: RawServicePort, path: FieldPath): Problem[] {
  if (targetPort === undefined) return [];
  const isNumber = typeof targetPort === 'number';
  const valid = isNumber ? Number.isInteger(targetPort) && targetPort >= 0 && targetPort <= 65_535 : isPortName(targetPort);
  if (valid) return [];
  const message = `${JSON.stringify(targetPort)} is neither a port number nor the name of a container port`;
  const quoted = typeof targetPort === 'string' && /^\d+$/.test(targetPort);
  return [
    errorAt(
      'WEFT_FIELD_INVALID',
      [...path, 'targetPort'],
      message,
      quoted ? `write ${targetPort} without quotes` : 'write a number from 1 to 65535 or a name',
    ),
  ];
}

/** IANA service names: up to 15 letters, digits and `-`, with at least one letter. */
function isPortName(name: string): boolean {
  return name.length <= 15 && new RegExp(DNS_LABEL).test(name) && /[a-z]/.test(name);
}

/** Kubernetes lets users write endpoints by hand; here nothing would ever be behind the service. */
function checkServiceSelector({ selector }: RawService['spec']): Problem[] {
  if (Object.keys(selector ?? {}).length > 0) return [];
  const message = 'a service without a selector has no endpoints here: every connection to it is refused';
  return [warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'selector'], message, 'add spec.selector with the labels of its workloads')];
}

/** Addresses are given out by `ipFamilies` alone; a policy that asks for others would be a wish that nobody heard. */
function checkFamilies(spec: RawService['spec']): Problem[] {
  const { ipFamilyPolicy: policy, ipFamilies = [] } = spec;
  if (policy === undefined || isHeadless(spec) || clusterIpsOf(spec).length > 0) return [];
  const given = ipFamilies.length === 0 ? 2 : new Set(ipFamilies).size;
  if (given === (policy === 'SingleStack' ? 1 : 2)) return [];
  const message = `${policy} is not looked at: the service gets ${given === 1 ? 'an address of one family' : 'an address of each family'}`;
  return [warningAt('WEFT_FIELD_IGNORED', ['spec', 'ipFamilyPolicy'], message, 'write the families in spec.ipFamilies')];
}

/** A wish that is misspelt is none: any endpoint would do. */
function checkDistribution({ annotations }: RawService['metadata'], { trafficDistribution }: RawService['spec']): Problem[] {
  const places: [FieldPath, string | undefined][] = [
    [['spec', 'trafficDistribution'], trafficDistribution],
    [['metadata', 'annotations', ANNOTATION.trafficDistribution], annotations?.[ANNOTATION.trafficDistribution]],
  ];
  return places.flatMap(([path, wanted]) => {
    if (!wanted || DISTRIBUTIONS.some((known) => known.toLowerCase() === wanted.toLowerCase())) return [];
    const message = `"${wanted}" is unknown${didYouMean(wanted, DISTRIBUTIONS)}; connections go to any endpoint`;
    return [warningAt('WEFT_FIELD_IGNORED', path, message, `write one of ${DISTRIBUTIONS.join(', ')}`)];
  });
}
