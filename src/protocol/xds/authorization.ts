import { create } from '@bufbuild/protobuf';
import { bytesToIp, type Cidr, ipToBytes } from '#model/address/ip.ts';
import { type Authorization, type Clause, EMPTY_MATCH, type Match, type StringMatch } from '#model/mesh/authorization.ts';
import {
  Action,
  type Address,
  type Authorization as AuthorizationMessage,
  AuthorizationSchema,
  type Clause as ClauseMessage,
  type Match as MatchMessage,
  MatchSchema,
  Scope,
  type StringMatch as StringMatchMessage,
  StringMatchSchema,
} from '#proto/authorization_pb.js';
import { knownEnum, rejectResource, wireEnum } from '#protocol/xds/resource-fault.ts';

const SCOPES = new Map<number, Authorization['scope']>([
  [Scope.GLOBAL, 'global'],
  [Scope.NAMESPACE, 'namespace'],
  [Scope.WORKLOAD_SELECTOR, 'workload-selector'],
]);
const ACTIONS = new Map<number, Authorization['action']>([
  [Action.ALLOW, 'allow'],
  [Action.DENY, 'deny'],
]);

/** The wire form of a policy. */
export function authorizationToProto(policy: Authorization): AuthorizationMessage {
  return create(AuthorizationSchema, {
    name: policy.name,
    namespace: policy.namespace,
    scope: wireEnum(SCOPES, policy.scope),
    action: wireEnum(ACTIONS, policy.action),
    rules: policy.rules.map(({ clauses }) => ({
      clauses: clauses.map(({ matches }) => ({ matches: matches.map(matchToProto) })),
    })),
    dryRun: policy.dryRun,
  });
}

function matchToProto(match: Match): MatchMessage {
  return create(MatchSchema, {
    namespaces: match.namespaces.map(stringToProto),
    notNamespaces: match.notNamespaces.map(stringToProto),
    principals: match.principals.map(stringToProto),
    notPrincipals: match.notPrincipals.map(stringToProto),
    sourceIps: match.sourceIps.map(cidrToProto),
    notSourceIps: match.notSourceIps.map(cidrToProto),
    destinationIps: match.destinationIps.map(cidrToProto),
    notDestinationIps: match.notDestinationIps.map(cidrToProto),
    destinationPorts: [...match.destinationPorts],
    notDestinationPorts: [...match.notDestinationPorts],
    serviceAccounts: match.serviceAccounts.map((account) => ({ ...account })),
    notServiceAccounts: match.notServiceAccounts.map((account) => ({ ...account })),
  });
}

function stringToProto(match: StringMatch): StringMatchMessage {
  const matchType = match.kind === 'presence' ? { case: match.kind, value: {} } : { case: match.kind, value: match.value };
  return create(StringMatchSchema, { matchType });
}

function cidrToProto(cidr: Cidr): { address: Uint8Array; length: number } {
  return { address: ipToBytes(cidr.base), length: cidr.length };
}

/** Errors: WEFT_XDS_RESOURCE when the policy has no name, or a scope or action that nobody knows. */
export function authorizationFromProto(message: AuthorizationMessage): Authorization {
  if (message.name === '') rejectResource('policy has no name');
  const action = knownEnum('action', message.action, ACTIONS);
  return {
    name: message.name,
    namespace: message.namespace,
    scope: knownEnum('scope', message.scope, SCOPES),
    action,
    rules: message.rules.map(({ clauses }) => ({ clauses: clauses.map((clause) => clauseFromProto(clause, action)) })),
    dryRun: message.dryRun,
  };
}

/**
 * A match with an entry that cannot be read (a bad CIDR, a kind of string match of a later version) makes the policy
 * stricter, never weaker: in an ALLOW policy that match never holds, in a DENY policy its clause always does.
 */
function clauseFromProto(message: ClauseMessage, action: Authorization['action']): Clause {
  const matches = message.matches.map(matchFromProto);
  if (action === 'deny' && matches.includes(null)) return { matches: [] };
  return { matches: matches.map((match) => match ?? EMPTY_MATCH) };
}

/** null when an entry cannot be read. */
function matchFromProto(message: MatchMessage): Match | null {
  const strings = (list: readonly StringMatchMessage[]) => allReadable(list.map(stringFromProto));
  const cidrs = (list: readonly Address[]) => allReadable(list.map(cidrFromProto));
  const read = {
    namespaces: strings(message.namespaces),
    notNamespaces: strings(message.notNamespaces),
    principals: strings(message.principals),
    notPrincipals: strings(message.notPrincipals),
    sourceIps: cidrs(message.sourceIps),
    notSourceIps: cidrs(message.notSourceIps),
    destinationIps: cidrs(message.destinationIps),
    notDestinationIps: cidrs(message.notDestinationIps),
  };
  if (!everyPresent(read)) return null;
  return {
    ...read,
    destinationPorts: message.destinationPorts.map((port) => port & 0xffff),
    notDestinationPorts: message.notDestinationPorts.map((port) => port & 0xffff),
    serviceAccounts: message.serviceAccounts.map(({ namespace, serviceAccount }) => ({ namespace, serviceAccount })),
    notServiceAccounts: message.notServiceAccounts.map(({ namespace, serviceAccount }) => ({ namespace, serviceAccount })),
  };
}

function everyPresent<T extends object>(record: T): record is { [K in keyof T]: NonNullable<T[K]> } & T {
  return !Object.values(record).includes(null);
}

function allReadable<T>(entries: readonly (T | null)[]): T[] | null {
  const readable = entries.filter((entry) => entry !== null);
  return readable.length === entries.length ? readable : null;
}

function stringFromProto({ matchType }: StringMatchMessage): StringMatch | null {
  switch (matchType.case) {
    case 'exact':
    case 'prefix':
    case 'suffix':
      return { kind: matchType.case, value: matchType.value };
    case 'presence':
      return { kind: 'presence' };
    default:
      return null;
  }
}

function cidrFromProto({ address, length }: Address): Cidr | null {
  const bits = address.length * 8;
  if ((bits !== 32 && bits !== 128) || length > bits) return null;
  const base = bytesToIp(address);
  // A mapped IPv4 block is held in its IPv4 form, so its prefix shrinks by the 96 bits in front.
  const mapped = bits === 128 && !base.includes(':');
  if (mapped && length < 96) return null;
  return { base, length: mapped ? length - 96 : length };
}
