import { type Cidr, familyOf, ipToBytes16 } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { PolicyKey, StringMatch } from '#model/mesh/authorization.ts';

// The one policy matcher. L4 (l4.ts) and L7 (l7.ts) compile their policies into it and ask `decide`; they differ only
// in what a policy is written in and in what it can see.

/** What every policy can see: who calls, from where, and what for. */
export type PeerFacts = {
  /** Verified identity of the client; null in plain text. */
  readonly identity: Identity | null;
  /** The identity as policies write it: the URI without `spiffe://`; null without identity. */
  readonly principal: string | null;
  /** Address of the immediate peer, 16 bytes (IPv4 mapped). */
  readonly sourceBytes: Uint8Array;
  /** The same of the destination; null when it was dialled by name. */
  readonly destinationBytes: Uint8Array | null;
  readonly destinationPort: number;
};

/** The rule that decided; `index` counts from 0 in the policy's own list. */
export type PolicyHit = { readonly policy: PolicyKey; readonly index: number };

/** Compares facts with one value, or with several, of a policy. */
export type FactsTest<Facts> = (facts: Facts) => boolean;

/** Compares one text with one policy string. */
export type TextTest = (text: string) => boolean;

/** Tests a 16-byte address against one block, without parsing anything per call. */
export type BlockTest = (bytes: Uint8Array) => boolean;

/** Alternatives are ORed, the tests of one are ANDed; without an alternative a clause never holds. */
export type Clause<Facts> = readonly (readonly FactsTest<Facts>[])[];

/** One rule with what it says when it matches: when each of its clauses holds. */
export type Entry<Facts, Verdict> = { readonly clauses: readonly Clause<Facts>[]; readonly verdict: Verdict };

/** The clauses of a rule that always matches, and of one that never does. */
export const ALWAYS: readonly Clause<unknown>[] = [];
export const NEVER: readonly Clause<unknown>[] = [[]];

/** Policies in the order they are tried. `otherwise`: what holds when nothing matches. */
export type Decider<Facts, Verdict> = {
  readonly deny: readonly Entry<Facts, Verdict>[];
  readonly allow: readonly Entry<Facts, Verdict>[];
  readonly otherwise: Verdict;
};

/** DENY first, then ALLOW, then what is left to those that nothing names (B42, config-api 3.5). */
export function decide<Facts, Verdict>({ deny, allow, otherwise }: Decider<Facts, Verdict>, facts: Facts): Verdict {
  return (firstHit(deny, facts) ?? firstHit(allow, facts))?.verdict ?? otherwise;
}

/** The first rule that matches; null: none. */
export function firstHit<Facts, Verdict>(entries: readonly Entry<Facts, Verdict>[], facts: Facts): Entry<Facts, Verdict> | null {
  for (const entry of entries) if (ruleHolds(entry.clauses, facts)) return entry;
  return null;
}

// Rules are data and only their leaves are closures: these loops are the same code for every rule, which the engine
// inlines. With a closure per rule, every call on the way down would be to a target that it cannot foresee.

/** Whether each clause holds. */
export function ruleHolds<Facts>(clauses: readonly Clause<Facts>[], facts: Facts): boolean {
  for (const alternatives of clauses) if (!clauseHolds(alternatives, facts)) return false;
  return true;
}

function clauseHolds<Facts>(alternatives: Clause<Facts>, facts: Facts): boolean {
  for (const tests of alternatives) if (allHold(tests, facts)) return true;
  return false;
}

function allHold<Facts>(tests: readonly FactsTest<Facts>[], facts: Facts): boolean {
  for (const test of tests) if (!test(facts)) return false;
  return true;
}

/** The tests of a list and its `not…` twin: one item must match, no item of the twin may. Empty lists restrict nothing. */
export function pairOf<Value, Facts>(
  values: readonly Value[],
  notValues: readonly Value[],
  compile: (value: Value) => FactsTest<Facts>,
): FactsTest<Facts>[] {
  const tests: FactsTest<Facts>[] = [];
  if (values.length > 0) tests.push(anyOf(values.map(compile)));
  for (const value of notValues) {
    const unwanted = compile(value);
    tests.push((facts) => !unwanted(facts));
  }
  return tests;
}

function anyOf<Facts>(tests: readonly FactsTest<Facts>[]): FactsTest<Facts> {
  const [only] = tests;
  return tests.length === 1 && only !== undefined ? only : (facts) => tests.some((test) => test(facts));
}

// A missing identity never matches, so the `not…` twin of each of these does match it.

/** Compares the principal. */
export function principalTest(test: TextTest): FactsTest<PeerFacts> {
  return ({ principal }) => principal !== null && test(principal);
}

/** Compares the namespace of the client. */
export function namespaceTest(test: TextTest): FactsTest<PeerFacts> {
  return ({ identity }) => identity !== null && test(identity.namespace);
}

/** Compares the client's service account, whatever its trust domain. */
export function accountTest(namespace: string, serviceAccount: string): FactsTest<PeerFacts> {
  return ({ identity }) => identity !== null && identity.namespace === namespace && identity.serviceAccount === serviceAccount;
}

/** Compares the immediate peer's address. */
export function sourceTest(holds: BlockTest): FactsTest<PeerFacts> {
  return ({ sourceBytes }) => holds(sourceBytes);
}

/** Compares the destination's address; a destination dialled by name has none. */
export function destinationTest(holds: BlockTest): FactsTest<PeerFacts> {
  return ({ destinationBytes }) => destinationBytes !== null && holds(destinationBytes);
}

/** Compares the destination's port. */
export function portTest(port: number): FactsTest<PeerFacts> {
  return ({ destinationPort }) => destinationPort === port;
}

/** Compiles one string of an L4 policy, or what `parseForm` made of a string of an L7 policy. */
export function textTest(match: StringMatch): TextTest {
  if (match.kind === 'presence') return (text) => text !== '';
  const { value } = match;
  switch (match.kind) {
    case 'exact':
      return (text) => text === value;
    case 'prefix':
      return (text) => text.startsWith(value);
    case 'suffix':
      return (text) => text.endsWith(value);
  }
}

/** `abc` exact, `abc*` prefix, `*abc` suffix, `*` any non-empty text; a `*` elsewhere is literal (config-api 3.3). */
export function parseForm(form: string): StringMatch {
  if (form === '*') return { kind: 'presence' };
  if (form.startsWith('*')) return { kind: 'suffix', value: form.slice(1) };
  if (form.endsWith('*')) return { kind: 'prefix', value: form.slice(0, -1) };
  return { kind: 'exact', value: form };
}

/** Compiles a range of addresses. An IPv4 block never holds an IPv6 address, nor the reverse. */
export function blockTest(cidr: Cidr): BlockTest {
  const isIp4 = familyOf(cidr.base) === 4;
  const base = ipToBytes16(cidr.base);
  const bits = cidr.length + (isIp4 ? 96 : 0);
  return (bytes) => isMapped(bytes) === isIp4 && samePrefix(base, bytes, bits);
}

function samePrefix(base: Uint8Array, bytes: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let at = 0; at < whole; at++) if (base[at] !== bytes[at]) return false;
  const mask = (0xff << (8 - (bits & 7))) & 0xff;
  return ((base[whole] ?? 0) & mask) === ((bytes[whole] ?? 0) & mask);
}

function isMapped(bytes: Uint8Array): boolean {
  for (let at = 0; at < 10; at++) if (bytes[at] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}
