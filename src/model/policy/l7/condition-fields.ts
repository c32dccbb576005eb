import { ipToBytes16, tryParseIp } from '#model/address/ip.ts';
import type { HttpFacts, PolicyFacts } from '#model/policy/l7/facts.ts';
import { type FactsTest, type Field, httpPairOf, pairOf, RuleFault } from '#model/policy/l7/field.ts';
import { portTest } from '#model/policy/l7/operation-fields.ts';
import {
  blockOrFault,
  namespaceTest,
  principalTest,
  serviceAccountTest,
  sourceBlockTest,
} from '#model/policy/l7/source-fields.ts';
import { compileForm } from '#model/policy/l7/string-form.ts';
import type { L7Condition } from '#model/waypoint/config.ts';

type Context = { readonly trustDomain: string; readonly policyNamespace: string };

const HEADER_KEY = /^request\.headers\[([^\][]+)\]$/;

/** The restrictions of one `when` entry. Errors: RuleFault, also for keys that no stage here can answer (JWT claims, SNI). */
export function conditionFields(condition: L7Condition, context: Context): Field[] {
  const { key, values, notValues } = condition;
  if (values.length + notValues.length === 0) throw new RuleFault(`condition "${key}" has neither values nor notValues`);
  const header = HEADER_KEY.exec(key)?.[1];
  if (header !== undefined) return httpPairOf(values, notValues, (value) => headerTest(header.toLowerCase(), value));
  switch (key) {
    case 'source.ip':
      return pairOf(values, notValues, sourceBlockTest);
    case 'remote.ip':
      return markHttp(pairOf(values, notValues, remoteBlockTest));
    case 'source.namespace':
      return pairOf(values, notValues, namespaceTest);
    case 'source.principal':
      return pairOf(values, notValues, (value) => principalTest(value, context.trustDomain));
    case 'source.serviceAccount':
      return pairOf(values, notValues, (value) =>
        serviceAccountTest(value.includes('/') ? value : `${context.policyNamespace}/${value}`),
      );
    case 'source.trustDomain':
      return pairOf(values, notValues, trustDomainTest);
    case 'destination.ip':
      return pairOf(values, notValues, destinationBlockTest);
    case 'destination.port':
      return pairOf(values, notValues, portTest);
    default:
      throw new RuleFault(`condition "${key}" cannot be evaluated by this waypoint`);
  }
}

/** Each header entry is compared by itself (W76). */
function headerTest(name: string, value: string): (http: HttpFacts) => boolean {
  const test = compileForm(value);
  return (http) => http.headerValues(name).some(test);
}

function trustDomainTest(value: string): FactsTest {
  const test = compileForm(value);
  return ({ identity }) => identity !== null && test(identity.trustDomain);
}

function destinationBlockTest(value: string): FactsTest {
  const holds = blockOrFault(value);
  return ({ destinationBytes }) => destinationBytes !== null && holds(destinationBytes);
}

function remoteBlockTest(value: string): FactsTest {
  const holds = blockOrFault(value);
  return (facts) => holds(remoteBytes(facts));
}

/** The rightmost address of x-forwarded-for, else the peer's own (W10). */
function remoteBytes(facts: PolicyFacts): Uint8Array {
  const last = facts.http?.headerValues('x-forwarded-for').at(-1)?.split(',').at(-1);
  const ip = last === undefined ? null : tryParseIp(last.trim());
  return ip === null ? facts.sourceBytes : ipToBytes16(ip);
}

function markHttp(fields: readonly Field[]): Field[] {
  return fields.map((field) => ({ http: true, test: field.test }));
}
