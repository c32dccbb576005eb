import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import { type Cidr, tryParseCidr } from '#model/address/ip.ts';
import { EMPTY_MATCH, type Match, type ServiceAccountMatch, type StringMatch } from '#model/mesh/authorization.ts';
import type { PolicyCondition, PolicyOperation, PolicySource } from './schema.ts';

/** A part of a rule as the node can enforce it. */
export type L4Part = {
  match: Match;
  /** Fields that a TCP connection cannot answer; they are not in `match`. */
  unenforceable: readonly string[];
};

/** What short forms in a policy are completed with. */
export type PolicyContext = { namespace: string; trustDomain: string };

type Growing = { -readonly [Field in keyof Match]: Match[Field] };

/** Fields of a source or operation that only a request has. */
const L7_FIELDS = ['requestPrincipals', 'notRequestPrincipals', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const;
const L7_OPERATIONS = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;

/** One `from` entry. */
export function sourcePart(source: PolicySource, context: PolicyContext): L4Part {
  const unenforceable: string[] = L7_FIELDS.filter((field) => source[field].length > 0);
  const match: Growing = {
    ...EMPTY_MATCH,
    principals: principalMatches(source.principals, context),
    notPrincipals: principalMatches(source.notPrincipals, context),
    serviceAccounts: source.serviceAccounts.map((value) => accountMatch(value, context)),
    notServiceAccounts: source.notServiceAccounts.map((value) => accountMatch(value, context)),
    sourceIps: cidrs(source.ipBlocks),
    notSourceIps: cidrs(source.notIpBlocks),
  };
  for (const [field, target] of [
    ['namespaces', 'namespaces'],
    ['notNamespaces', 'notNamespaces'],
  ] as const) {
    const matches = namespaceMatches(source[field]);
    if (matches === null) unenforceable.push(field);
    else match[target] = matches;
  }
  addTrustDomains(source, match, unenforceable, context);
  return { match, unenforceable };
}

/** One `to` entry. */
export function operationPart(operation: PolicyOperation): L4Part {
  const match = {
    ...EMPTY_MATCH,
    destinationPorts: operation.ports.map(Number),
    notDestinationPorts: operation.notPorts.map(Number),
  };
  return { match, unenforceable: L7_OPERATIONS.filter((field) => operation[field].length > 0) };
}

/** One `when` entry. */
export function conditionPart({ key, values, notValues }: PolicyCondition, context: PolicyContext): L4Part {
  const match = conditionMatch(key, values, notValues, context);
  return match === null
    ? { match: EMPTY_MATCH, unenforceable: [key] }
    : { match: { ...EMPTY_MATCH, ...match }, unenforceable: [] };
}

/** The fields of a match that stand for one attribute; null for attributes that a connection does not have. */
function conditionMatch(
  key: string,
  values: readonly string[],
  notValues: readonly string[],
  context: PolicyContext,
): Partial<Match> | null {
  const both = <T>(convert: (list: readonly string[]) => readonly T[]) => [convert(values), convert(notValues)] as const;
  switch (key) {
    case 'source.ip': {
      const [sourceIps, notSourceIps] = both(cidrs);
      return { sourceIps, notSourceIps };
    }
    case 'destination.ip': {
      const [destinationIps, notDestinationIps] = both(cidrs);
      return { destinationIps, notDestinationIps };
    }
    case 'destination.port': {
      const [destinationPorts, notDestinationPorts] = both((list) => list.map(Number));
      return { destinationPorts, notDestinationPorts };
    }
    case 'source.principal': {
      const [principals, notPrincipals] = both((list) => principalMatches(list, context));
      return { principals, notPrincipals };
    }
    case 'source.serviceAccount': {
      const [serviceAccounts, notServiceAccounts] = both((list) => list.map((value) => accountMatch(value, context)));
      return { serviceAccounts, notServiceAccounts };
    }
    case 'source.namespace': {
      const [namespaces, notNamespaces] = [namespaceMatches(values), namespaceMatches(notValues)];
      return namespaces === null || notNamespaces === null ? null : { namespaces, notNamespaces };
    }
    case 'source.trustDomain': {
      const [principals, notPrincipals] = [trustDomainMatches(values, context), trustDomainMatches(notValues, context)];
      return principals === null || notPrincipals === null ? null : { principals, notPrincipals };
    }
    default:
      return null;
  }
}

/** Trust domains are told by the beginning of the principal, so one match cannot ask for both lists at once. */
function addTrustDomains(source: PolicySource, match: Growing, unenforceable: string[], context: PolicyContext): void {
  const wanted = trustDomainMatches(source.trustDomains, context);
  if (wanted === null || (wanted.length > 0 && match.principals.length > 0)) unenforceable.push('trustDomains');
  else match.principals = [...match.principals, ...wanted];
  const unwanted = trustDomainMatches(source.notTrustDomains, context);
  if (unwanted === null) unenforceable.push('notTrustDomains');
  else match.notPrincipals = [...match.notPrincipals, ...unwanted];
}

/** Trust domains as beginnings of principals; null when one of them cannot be told that way. */
function trustDomainMatches(values: readonly string[], context: PolicyContext): StringMatch[] | null {
  const patterns = values.map(trustDomainPattern);
  return patterns.includes(null)
    ? null
    : principalMatches(
        patterns.filter((pattern) => pattern !== null),
        context,
      );
}

/** Principals in all the ways they may be meant, as matches of the whole text. */
function principalMatches(values: readonly string[], { trustDomain }: PolicyContext): StringMatch[] {
  return values.flatMap((value) => principalForms(value, trustDomain)).map(stringMatchOf);
}

/** In namespaces a `*` may stand anywhere; null where the node could not compare that. */
function namespaceMatches(values: readonly string[]): StringMatch[] | null {
  const inner = (value: string) => (value.startsWith('*') ? value.slice(1) : value.endsWith('*') ? value.slice(0, -1) : value);
  return values.some((value) => inner(value).includes('*')) ? null : values.map(stringMatchOf);
}

/** `*` any, `*x` ends with x, `x*` begins with x, else exactly. There is no escape. */
export function stringMatchOf(value: string): StringMatch {
  if (value === '*') return { kind: 'presence' };
  if (value.startsWith('*')) return { kind: 'suffix', value: value.slice(1) };
  if (value.endsWith('*')) return { kind: 'prefix', value: value.slice(0, -1) };
  return { kind: 'exact', value };
}

/** `<namespace>/<name>`; a bare name is of the namespace of the policy. */
function accountMatch(value: string, { namespace }: PolicyContext): ServiceAccountMatch {
  const [first = '', second] = value.split('/');
  return second === undefined ? { namespace, serviceAccount: first } : { namespace: first, serviceAccount: second };
}

/** The rules have refused what is no address. */
function cidrs(values: readonly string[]): Cidr[] {
  return values.map(tryParseCidr).filter((cidr) => cidr !== null);
}

const DEFAULT_PREFIX = `${DEFAULT_MESH_OPTIONS.trustDomain}/`;

/** A principal in all the ways it may be meant: `cluster.local` stands for whatever the mesh's trust domain is. */
function principalForms(value: string, trustDomain: string): string[] {
  if (!value.startsWith(DEFAULT_PREFIX) || DEFAULT_PREFIX === `${trustDomain}/`) return [value];
  return [value, `${trustDomain}/${value.slice(DEFAULT_PREFIX.length)}`];
}

/** A trust domain as a pattern of principals; null for a suffix, which a pattern of the whole text cannot say. */
export function trustDomainPattern(value: string): string | null {
  if (value === '*') return '*';
  if (value.startsWith('*')) return null;
  return value.endsWith('*') ? value : `${value}/*`;
}
