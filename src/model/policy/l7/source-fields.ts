import type { PolicyFacts } from '#model/policy/l7/facts.ts';
import { type FactsTest, type Field, pairOf, RuleFault } from '#model/policy/l7/field.ts';
import { type BlockTest, compileBlock } from '#model/policy/l7/ip-form.ts';
import { compileForm, compileGlob, type TextTest } from '#model/policy/l7/string-form.ts';
import type { L7Source } from '#model/waypoint/config.ts';

/** Any mesh may write its own trust domain so (config-api 3.7). */
const DEFAULT_TRUST_DOMAIN = 'cluster.local';

/** The restrictions of one `from` entry. Errors: RuleFault. */
export function sourceFields(source: L7Source, trustDomain: string): Field[] {
  return [
    ...pairOf(source.principals, source.notPrincipals, (value) => principalTest(value, trustDomain)),
    ...pairOf(source.namespaces, source.notNamespaces, namespaceTest),
    ...pairOf(source.serviceAccounts, source.notServiceAccounts, serviceAccountTest),
    ...pairOf(source.ipBlocks, source.notIpBlocks, sourceBlockTest),
  ];
}

/** Missing identity never matches, so the `not…` twin of each of these does match it. */
export function principalTest(value: string, trustDomain: string): FactsTest {
  const form = value.startsWith('spiffe://') ? value.slice('spiffe://'.length) : value;
  const forms: TextTest[] = [compileForm(form)];
  const defaultPrefix = `${DEFAULT_TRUST_DOMAIN}/`;
  const ownPrefix = `${trustDomain}/`;
  if (form.startsWith(defaultPrefix)) forms.push(compileForm(ownPrefix + form.slice(defaultPrefix.length)));
  else if (form.startsWith(ownPrefix)) forms.push(compileForm(defaultPrefix + form.slice(ownPrefix.length)));
  return ({ principal }) => principal !== null && forms.some((test) => test(principal));
}

/** `*` may stand anywhere in `value`; a missing identity never matches. */
export function namespaceTest(value: string): FactsTest {
  const test = compileGlob(value);
  return ({ identity }) => identity !== null && test(identity.namespace);
}

/** `value` is `<namespace>/<name>`. */
export function serviceAccountTest(value: string): FactsTest {
  const [namespace, serviceAccount] = value.split('/');
  return ({ identity }) => identity !== null && identity.namespace === namespace && identity.serviceAccount === serviceAccount;
}

/** Compares the immediate peer's address. Errors: RuleFault when `value` is not an IP or CIDR. */
export function sourceBlockTest(value: string): FactsTest {
  const holds = blockOrFault(value);
  return (facts: PolicyFacts) => holds(facts.sourceBytes);
}

/** Errors: RuleFault when `value` is not an IP or CIDR. */
export function blockOrFault(value: string): BlockTest {
  const block = compileBlock(value);
  if (block === null) throw new RuleFault(`"${value}" is not an IP address or CIDR`);
  return block;
}
