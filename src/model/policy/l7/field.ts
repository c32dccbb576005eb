import type { HttpFacts, PolicyFacts } from '#model/policy/l7/facts.ts';

/** One restriction of a rule. `http`: it needs a request, so a TCP connection cannot answer it. */
export type Field = { readonly http: boolean; test(facts: PolicyFacts): boolean };

/** Compares the facts of one request or connection with one policy value. */
export type FactsTest = (facts: PolicyFacts) => boolean;

/** Thrown while one rule is compiled: the rule then becomes as strict as its action allows. */
export class RuleFault extends Error {}

/** The fields of a list and its `not…` twin: one item must match, no item of the twin may. Empty lists restrict nothing. */
export function pairOf(values: readonly string[], notValues: readonly string[], compile: (value: string) => FactsTest): Field[] {
  return pair(values, notValues, compile, false);
}

/** As pairOf, for attributes that only a request has. */
export function httpPairOf(
  values: readonly string[],
  notValues: readonly string[],
  compile: (value: string) => (http: HttpFacts) => boolean,
): Field[] {
  const compileFacts = (value: string): FactsTest => {
    const test = compile(value);
    return (facts) => facts.http !== null && test(facts.http);
  };
  return pair(values, notValues, compileFacts, true);
}

function pair(
  values: readonly string[],
  notValues: readonly string[],
  compile: (value: string) => FactsTest,
  http: boolean,
): Field[] {
  const fields: Field[] = [];
  if (values.length > 0) fields.push({ http, test: anyOf(values.map(compile)) });
  if (notValues.length > 0) {
    const unwanted = anyOf(notValues.map(compile));
    fields.push({ http, test: (facts) => !unwanted(facts) });
  }
  return fields;
}

function anyOf(tests: readonly FactsTest[]): FactsTest {
  const [only] = tests;
  return tests.length === 1 && only !== undefined ? only : (facts) => tests.some((test) => test(facts));
}
