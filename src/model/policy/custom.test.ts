import assert from 'node:assert/strict';
import test from 'node:test';
import { ipToBytes16, parseIp } from '#model/address/ip.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { L7Operation, L7Policy } from '#model/waypoint/config.ts';
import { questionsAbout, questionsAboutConnection } from './custom.ts';
import { compileL7, decideL7, dryRunL7 } from './l7.ts';
import type { PolicyFacts } from './l7-fields.ts';

const OPERATION: L7Operation = {
  ...{ hosts: [], notHosts: [], ports: [], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [] },
};
const policy = (name: string, authorizer: string, paths: string[], change: Partial<L7Policy> = {}): L7Policy => ({
  ...{ namespace: 'shop', name, action: 'custom', authorizer, dryRun: false },
  rules: [{ from: [], to: [{ ...OPERATION, paths }], when: [] }],
  ...change,
});
const authorizer = (name: string): ExternalAuthorizer => ({
  ...{ name, service: `shop/${name}`, port: 80, timeoutMs: null, failOpen: false, statusOnError: 403, body: null, http: null },
});

function facts(path: string | null): PolicyFacts {
  const http = { method: 'GET', path: path ?? '', authority: 'cart', authenticated: null, headerValues: () => [] };
  const address = ipToBytes16(parseIp('10.0.0.1'));
  const base = { identity: null, principal: null, sourceBytes: address, destinationBytes: null, destinationPort: 80 };
  return { ...base, http: path === null ? null : http };
}

/** `who:policy#rule` of each question, in order; a trial has a `?`. */
function asked(policies: L7Policy[], path: string): string[] {
  const { custom } = compileL7(policies, 'cluster.local', assert.fail, [authorizer('b'), authorizer('a')]);
  return questionsAbout(custom, facts(path)).map(
    ({ authorizer: { name }, by, waits }) => `${name}:${by.policy}#${by.index}${waits ? '' : '?'}`,
  );
}

const DRY = { dryRun: true };
const CASES: { name: string; policies: L7Policy[]; path?: string; want: string[] }[] = [
  { name: 'no rule matches', policies: [policy('p', 'a', ['/x'])], want: [] },
  { name: 'one matches', policies: [policy('p', 'a', ['/asked'])], want: ['a:shop/p#0'] },
  { name: 'several of one authorizer', policies: [policy('q', 'a', ['/*']), policy('p', 'a', ['/asked'])], want: ['a:shop/p#0'] },
  {
    name: 'several authorizers',
    policies: [policy('p', 'b', ['/*']), policy('q', 'a', ['/*'])],
    want: ['a:shop/q#0', 'b:shop/p#0'],
  },
  { name: 'one that is not known', policies: [policy('p', 'c', ['/*'])], want: [] },
  { name: 'a trial', policies: [policy('p', 'a', ['/*'], DRY)], want: ['a:shop/p#0?'] },
  {
    name: 'a trial of what is in force',
    policies: [policy('p', 'a', ['/*'], DRY), policy('q', 'a', ['/*'])],
    want: ['a:shop/q#0'],
  },
];
for (const { name, policies, want } of CASES) {
  test(`W67: who is asked: ${name}`, () => assert.deepEqual(asked(policies, '/asked'), want));
}

test('W67: what CUSTOM matches is neither allowed nor denied by it, but of an authorizer that is not known', () => {
  const verdict = (policies: L7Policy[], path: string | null) =>
    decideL7(compileL7(policies, 'cluster.local', assert.fail, [authorizer('a')]), facts(path)).kind;
  assert.equal(verdict([policy('p', 'a', ['/asked'])], '/asked'), 'allow');
  assert.equal(verdict([policy('p', 'c', ['/asked'])], '/asked'), 'deny');
  assert.equal(verdict([policy('p', 'c', ['/asked'])], '/other'), 'allow');
  assert.equal(verdict([policy('p', 'c', ['/asked'])], null), 'deny');
  const trial = compileL7([policy('p', 'c', ['/*'], DRY)], 'cluster.local', assert.fail, []);
  assert.equal(dryRunL7(trial, facts('/asked'))?.deny?.policy, 'shop/p');
});

test('W67: a rule that cannot be read asks about everything', () => {
  const problems: string[] = [];
  const broken = policy('p', 'a', [], {
    rules: [{ from: [], to: [], when: [{ key: 'no.such', values: ['x'], notValues: [] }] }],
  });
  const { custom } = compileL7([broken], 'cluster.local', (why) => problems.push(why), [authorizer('a')]);
  assert.equal(questionsAbout(custom, facts('/any')).length, 1);
  assert.equal(problems.length, 1);
});

const HTTP: NonNullable<ExternalAuthorizer['http']> = {
  ...{ pathPrefix: '', sentHeaders: [], addedHeaders: [], toUpstream: [], toClientOnDeny: [], toClientOnAllow: [] },
};
const CONNECTIONS: { name: string; policies: L7Policy[]; byHttp?: true; want: [verdict: string, asked: string[]] }[] = [
  { name: 'by gRPC, whatever paths its rule names', policies: [policy('p', 'a', ['/asked'])], want: ['allow', ['a']] },
  { name: 'by HTTP nobody can be: denied', policies: [policy('p', 'a', ['/asked'])], byHttp: true, want: ['deny', []] },
  {
    name: 'not where another port is meant',
    policies: [policy('p', 'a', [], { rules: [{ from: [], to: [{ ...OPERATION, ports: ['81'] }], when: [] }] })],
    want: ['allow', []],
  },
  { name: 'not in a trial', policies: [policy('p', 'a', [], DRY)], want: ['allow', []] },
  { name: 'in the order of their names', policies: [policy('p', 'b', []), policy('q', 'a', [])], want: ['allow', ['a', 'b']] },
];
for (const { name, policies, byHttp, want } of CONNECTIONS) {
  test(`W67: who is asked about a connection without HTTP: ${name}`, () => {
    const all = ['b', 'a'].map((one) => ({ ...authorizer(one), http: byHttp ? HTTP : null }));
    const compiled = compileL7(policies, 'cluster.local', assert.fail, all);
    const names = questionsAboutConnection(compiled.custom, facts(null)).map(({ authorizer: one }) => one.name);
    assert.deepEqual([decideL7(compiled, facts(null)).kind, names], want);
  });
}
