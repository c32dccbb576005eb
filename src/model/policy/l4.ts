import { familyOf, type IpAddress, ipToBytes16 } from '#model/address/ip.ts';
import { type Identity, principalOf } from '#model/identity/identity.ts';
import { type Authorization, type Match, type PolicyKey, policyKeyOf, type Rule } from '#model/mesh/authorization.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import {
  ALWAYS,
  accountTest,
  blockTest,
  type Clause,
  decide,
  destinationTest,
  type FactsTest,
  namespaceTest,
  type PeerFacts,
  pairOf,
  portTest,
  principalTest,
  ruleHolds,
  sourceTest,
  textTest,
} from './match.ts';
import { NarrowedDeciders, type NeedyDecider, type NeedyEntry, principalsNeeded } from './narrowed-deciders.ts';

/** One connection as L4 policy sees it. `source` is null without an authenticated peer. */
export type Connection = {
  readonly source: Identity | null;
  readonly sourceIp: IpAddress;
  /** Address and port of the workload itself, never of the VIP (B47). */
  readonly destinationIp: IpAddress;
  readonly destinationPort: number;
};

/** `policy` and `rule` (index) name what decided; null when no policy applies. */
export type L4Decision = { allowed: boolean; policy: PolicyKey | null; rule: number | null; reason: string };

/** Policies in force for a destination; `missing` are keys it names that are not known (yet). */
export class L4Policies {
  readonly policies: readonly Authorization[];
  readonly missing: readonly PolicyKey[];
  #decider: NeedyDecider<L4Decision> | null = null;
  #narrowed: NarrowedDeciders<L4Decision> | null = null;

  constructor(policies: readonly Authorization[], missing: readonly PolicyKey[]) {
    this.policies = policies;
    this.missing = missing;
  }

  /** Compiled when first asked: most sets are only looked at for whether they restrict anything. */
  get decider(): NeedyDecider<L4Decision> {
    this.#decider ??= deciderOf(this.policies, this.missing);
    return this.#decider;
  }

  /** The same for callers of one principal. */
  deciderFor(principal: string | null): NeedyDecider<L4Decision> {
    this.#narrowed ??= new NarrowedDeciders(this.decider);
    return this.#narrowed.for(principal);
  }
}

/** Of what no policy is asked about. */
export const NO_POLICIES = new L4Policies([], []);

/** Policies change rarely and are asked for with each connection: one set serves every destination with the same ones. */
const setsOf = new WeakMap<MeshState, { generation: number; sets: Map<string, L4Policies> }>();

/** GLOBAL, the workload's namespace, and those its record lists (docs/rules/node-proxy.md). */
export function policiesFor(mesh: MeshState, destination: Workload): L4Policies {
  let known = setsOf.get(mesh);
  if (known?.generation !== mesh.policyGeneration) {
    known = { generation: mesh.policyGeneration, sets: new Map() };
    setsOf.set(mesh, known);
  }
  const { namespace, authorizationPolicies } = destination;
  const key = authorizationPolicies.length === 0 ? namespace : `${namespace} ${authorizationPolicies.join(' ')}`;
  const set = known.sets.get(key) ?? collect(mesh, destination);
  known.sets.set(key, set);
  return set;
}

/** Whether a policy is one of those that `policiesFor` gives. */
export function holdsFor(policy: Authorization, destination: Workload): boolean {
  return holdsUnnamed(policy, destination) || destination.authorizationPolicies.includes(policyKeyOf(policy));
}

/** The policies that a workload has without its record naming them. */
function holdsUnnamed({ scope, namespace }: Authorization, destination: Workload): boolean {
  return scope === 'global' || (scope === 'namespace' && namespace === destination.namespace);
}

function collect(mesh: MeshState, destination: Workload): L4Policies {
  const policies: Authorization[] = [];
  const missing: PolicyKey[] = [];
  for (const policy of mesh.policies()) if (holdsUnnamed(policy, destination)) policies.push(policy);
  for (const key of destination.authorizationPolicies) {
    const policy = mesh.policy(key);
    if (policy === null) missing.push(key);
    else policies.push(policy);
  }
  return new L4Policies(policies, missing);
}

/**
 * The question that policies answer: may `source` (a workload, a verified identity, or null in plain text) connect from
 * `sourceIp` to this address of the workload? Every part of the agent that asks builds it here.
 */
export function connectionOf(
  source: Workload | Identity | null,
  sourceIp: IpAddress,
  destination: { readonly ip: IpAddress; readonly port: number },
): Connection {
  const identity = source !== null && 'uid' in source ? identityOf(source) : source;
  return { source: identity, sourceIp, destinationIp: destination.ip, destinationPort: destination.port };
}

/** What the policies in force say of a connection. */
export function decideL4(set: L4Policies, connection: Connection): L4Decision {
  const facts = new ConnectionFacts(connection);
  return decide(set.deciderFor(facts.principal), facts);
}

/**
 * Whether nothing but a policy that is named and not known speaks against a connection. A record often names a policy a moment
 * before that arrives, or after it went: no live connection is judged by that, and no verdict is remembered. What is new waits
 * for it, and is refused when it does not come.
 */
export function isUndecided({ missing }: L4Policies, { allowed, policy }: L4Decision): boolean {
  return !allowed && policy !== null && missing.includes(policy);
}

/** What one policy in dry run would have done; `rule` null: it is an ALLOW policy, and none of its rules matched. */
export type L4DryRun = { policy: PolicyKey; rule: number | null; decision: 'allow' | 'deny' };

/**
 * What the policies in dry run would have done to a connection: for log and metrics only (B48). A DENY policy that does not
 * match would have done nothing; an ALLOW policy that does not match would have denied, unless one in force allows.
 */
export function dryRunL4(set: L4Policies, connection: Connection): L4DryRun[] {
  const dry = set.policies.filter((policy) => policy.dryRun);
  if (dry.length === 0) return [];
  const facts = new ConnectionFacts(connection);
  const decided = decideL4(set, connection);
  const isAllowedByPolicy = decided.allowed && decided.policy !== null;
  return dry.flatMap((one): L4DryRun[] => {
    const at = one.rules.findIndex((rule) => ruleHolds(clausesOf(rule, one.action), facts));
    const policy = policyKeyOf(one);
    if (at >= 0) return [{ policy, rule: at, decision: one.action }];
    return one.action === 'allow' && !isAllowedByPolicy ? [{ policy, rule: null, decision: 'deny' }] : [];
  });
}

/** Whether anything at all could refuse an unauthenticated connection to this destination, on any port. */
export function restrictsPlaintext(set: L4Policies): boolean {
  return (
    set.missing.length > 0 ||
    set.policies.some((policy) => !policy.dryRun && (policy.action === 'allow' || policy.rules.length > 0))
  );
}

/** Whether a workload may connect to all that has these policies, on any port and by any address: no rule could hold for it, and none has to. */
export function mayAnyway(set: L4Policies, source: Workload): boolean {
  const principal = principalOf(identityOf(source));
  const { deny, allow, otherwise } = set.deciderFor(principal);
  const isOfOthers = ({ needs }: NeedyEntry<L4Decision>): boolean => needs !== null && !needs.has(principal);
  return otherwise.allowed && deny.every(isOfOthers) && allow.every(isOfOthers);
}

/**
 * The verdict of a pair of workloads and a port (source null: plain text from anywhere), which the kernel may cache;
 * null when it depends on which addresses are used, or on a policy that is not known. `set`: the policies in force for the destination.
 */
export function pairVerdict(set: L4Policies, source: Workload | null, destination: Workload, port: number): boolean | null {
  if (set.policies.length === 0 && set.missing.length === 0) return true;
  if (source === null && looksAtSourceAddresses(set)) return null;
  let verdict: boolean | null = null;
  for (const ip of destination.addresses) {
    const sourceIp = source === null ? ip : sameFamily(source.addresses, ip);
    if (sourceIp === null) continue;
    const decision = decideL4(set, connectionOf(source, sourceIp, { ip, port }));
    if (isUndecided(set, decision) || (verdict !== null && verdict !== decision.allowed)) return null;
    verdict = decision.allowed;
  }
  return verdict;
}

function looksAtSourceAddresses(set: L4Policies): boolean {
  return set.policies.some((policy) =>
    policy.rules.some((rule) =>
      rule.clauses.some((clause) => clause.matches.some((match) => match.sourceIps.length + match.notSourceIps.length > 0)),
    ),
  );
}

function sameFamily(addresses: readonly IpAddress[], like: IpAddress): IpAddress | null {
  return addresses.find((ip) => familyOf(ip) === familyOf(like)) ?? null;
}

/** Works out the principal and the bytes of addresses only for policies that look at them: few do. */
class ConnectionFacts implements PeerFacts {
  readonly identity: Identity | null;
  readonly destinationPort: number;
  readonly #connection: Connection;
  #principal: string | null = null;
  #sourceBytes: Uint8Array | null = null;
  #destinationBytes: Uint8Array | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.identity = connection.source;
    this.destinationPort = connection.destinationPort;
  }

  get principal(): string | null {
    if (this.identity !== null) this.#principal ??= principalOf(this.identity);
    return this.#principal;
  }

  get sourceBytes(): Uint8Array {
    this.#sourceBytes ??= ipToBytes16(this.#connection.sourceIp);
    return this.#sourceBytes;
  }

  get destinationBytes(): Uint8Array {
    this.#destinationBytes ??= ipToBytes16(this.#connection.destinationIp);
    return this.#destinationBytes;
  }
}

const UNRESTRICTED: L4Decision = { allowed: true, policy: null, rule: null, reason: 'no policy restricts it' };

/** A policy that is named but unknown denies, after those that are known: an unknown DENY must not fail open. */
function deciderOf(policies: readonly Authorization[], missing: readonly PolicyKey[]): NeedyDecider<L4Decision> {
  const enforced = policies.filter(({ dryRun }) => !dryRun);
  const allows = enforced.filter(({ action }) => action === 'allow');
  const deny = enforced.filter(({ action }) => action === 'deny').flatMap(entriesOf);
  const [unknown] = missing;
  if (unknown !== undefined) {
    const reason = `policy ${unknown} applies but is not known yet`;
    deny.push({ needs: null, clauses: ALWAYS, verdict: { allowed: false, policy: unknown, rule: null, reason } });
  }
  return { deny, allow: allows.flatMap(entriesOf), otherwise: unmatched(allows) };
}

function unmatched(allows: readonly Authorization[]): L4Decision {
  const [first] = allows;
  if (first === undefined) return UNRESTRICTED;
  const reason = `allow policies exist (${allows.map(policyKeyOf).join(', ')}), but none allowed`;
  return { allowed: false, policy: policyKeyOf(first), rule: null, reason };
}

/** Policies are never changed, only replaced, and many destinations share one: each is compiled once. */
const compiled = new WeakMap<Authorization, readonly NeedyEntry<L4Decision>[]>();

function entriesOf(policy: Authorization): readonly NeedyEntry<L4Decision>[] {
  const known = compiled.get(policy);
  if (known !== undefined) return known;
  const key = policyKeyOf(policy);
  const allowed = policy.action === 'allow';
  const entries = policy.rules.map((rule, index) => {
    const reason = `${allowed ? 'allowed' : 'explicitly denied'} by ${key} rule ${index}`;
    const verdict = { allowed, policy: key, rule: index, reason };
    return { needs: principalsNeeded(rule), clauses: clausesOf(rule, policy.action), verdict };
  });
  compiled.set(policy, entries);
  return entries;
}

/**
 * A clause without matches restricts nothing. A match without fields is what is left of one that asked for what only a request
 * shows (B44): in ALLOW it lets nobody in. In DENY nobody can tell whom it meant, so it means everybody: the one place where
 * that is decided, for policies of our own control plane and for those of an istiod, which leaves such a match empty.
 */
function clausesOf({ clauses }: Rule, action: Authorization['action']): Clause<PeerFacts>[] {
  const restricting = clauses.filter(({ matches }) => matches.length > 0).map(({ matches }) => matches.map(testsOf));
  if (action === 'allow') return restricting.map((matches) => matches.filter((tests) => tests.length > 0));
  return restricting.filter((matches) => matches.every((tests) => tests.length > 0));
}

/** Rules of a DENY policy that deny more than its author wrote, as some match has no field that a connection could show. */
export function widenedRules({ action, rules }: Authorization): number[] {
  if (action === 'allow') return [];
  const isEmpty = (match: Match): boolean => Object.values(match).every((list: readonly unknown[]) => list.length === 0);
  return rules.flatMap(({ clauses }, at) => (clauses.some(({ matches }) => matches.some(isEmpty)) ? [at] : []));
}

function testsOf(match: Match): FactsTest<PeerFacts>[] {
  return [
    ...pairOf(match.principals, match.notPrincipals, (value) => principalTest(textTest(value))),
    ...pairOf(match.namespaces, match.notNamespaces, (value) => namespaceTest(textTest(value))),
    ...pairOf(match.serviceAccounts, match.notServiceAccounts, (account) =>
      accountTest(account.namespace, account.serviceAccount),
    ),
    ...pairOf(match.sourceIps, match.notSourceIps, (cidr) => sourceTest(blockTest(cidr))),
    ...pairOf(match.destinationIps, match.notDestinationIps, (cidr) => destinationTest(blockTest(cidr))),
    ...pairOf(match.destinationPorts, match.notDestinationPorts, portTest),
  ];
}
