import assert from 'node:assert/strict';
import test from 'node:test';
import { EMPTY_MATCH, type Match } from '#model/mesh/authorization.ts';
import { requestRuleText, ruleText } from './rule-text.ts';

const match = (fields: Partial<Match>): Match => ({ ...EMPTY_MATCH, ...fields });
const source = (fields: object) => ({
  ...{ principals: [], notPrincipals: [], namespaces: [], notNamespaces: [], serviceAccounts: [], notServiceAccounts: [] },
  ...{ ipBlocks: [], notIpBlocks: [], ...fields },
});

test('H11: a rule is told so that nobody takes what it forbids for allowed', () => {
  const web = match({
    namespaces: [
      { kind: 'exact', value: 'web' },
      { kind: 'prefix', value: 'shop-' },
    ],
    destinationPorts: [80],
  });
  const cart = match({ notPrincipals: [{ kind: 'presence' }] });
  const cases: [clauses: Match[][], text: string][] = [
    [[], 'everything'],
    [[[]], 'everything'],
    [[[EMPTY_MATCH]], 'nothing'],
    [[[web]], 'from namespace web or shop-* and to port 80'],
    [[[web, cart]], '(from namespace web or shop-* and to port 80; or not from identity any)'],
    [[[cart], [web]], 'not from identity any and from namespace web or shop-* and to port 80'],
  ];
  for (const [clauses, text] of cases) assert.equal(ruleText({ clauses: clauses.map((matches) => ({ matches })) }), text);
});

test('H11: a rule of requests with an entry that restricts nothing says so', () => {
  const from = [source({ namespaces: ['web'] })];
  assert.equal(requestRuleText({ from: [], to: [], when: [] }), 'everything');
  assert.equal(requestRuleText({ from, to: [], when: [] }), 'from namespace web');
  assert.equal(requestRuleText({ from: [...from, source({})], to: [], when: [] }), 'everything');
  const when = [{ key: 'request.headers[x-a]', values: ['1', '2'], notValues: [] }];
  assert.equal(requestRuleText({ from, to: [], when }), 'from namespace web and request.headers[x-a] 1 or 2');
});
