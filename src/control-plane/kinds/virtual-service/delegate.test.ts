import assert from 'node:assert/strict';
import test from 'node:test';
import { delegatedRules } from './delegate.ts';
import type { RawVirtualMatch, RawVirtualRule } from './schema.ts';

const TO = { route: [{ destination: { host: 'v1' } }] };

/** Matches of the root and of the delegate, and whether the second narrow the first. */
const pairs: { name: string; root: RawVirtualMatch; own: RawVirtualMatch; fits: boolean }[] = [
  { name: 'a longer prefix', root: { uri: { prefix: '/a' } }, own: { uri: { prefix: '/a/b' } }, fits: true },
  { name: 'another prefix', root: { uri: { prefix: '/a' } }, own: { uri: { prefix: '/b' } }, fits: false },
  { name: 'a shorter prefix', root: { uri: { prefix: '/a/b' } }, own: { uri: { prefix: '/a' } }, fits: false },
  { name: 'a path below the prefix', root: { uri: { prefix: '/a' } }, own: { uri: { exact: '/a/b' } }, fits: true },
  { name: 'the same path', root: { uri: { exact: '/a' } }, own: { uri: { exact: '/a' } }, fits: true },
  { name: 'a prefix of the path', root: { uri: { exact: '/a' } }, own: { uri: { prefix: '/a' } }, fits: false },
  { name: 'a pattern beside a prefix', root: { uri: { prefix: '/a' } }, own: { uri: { regex: '/a.*' } }, fits: false },
  { name: 'a prefix beside a pattern', root: { uri: { regex: '/a.*' } }, own: { uri: { prefix: '/a' } }, fits: false },
  { name: 'a pattern alone', root: { headers: { x: { exact: '1' } } }, own: { uri: { regex: '/a.*' } }, fits: true },
  { name: 'anything beside a value', root: { uri: { prefix: '/a' } }, own: { uri: {} }, fits: false },
  { name: 'a value of what is there', root: { headers: { x: {} } }, own: { headers: { x: { exact: '1' } } }, fits: true },
  { name: 'another value', root: { headers: { x: { exact: '1' } } }, own: { headers: { x: { exact: '2' } } }, fits: false },
  { name: 'another header', root: { headers: { x: { exact: '1' } } }, own: { headers: { y: { exact: '2' } } }, fits: true },
  {
    name: 'another parameter',
    root: { queryParams: { q: { exact: '1' } } },
    own: { queryParams: { q: { exact: '2' } } },
    fits: false,
  },
  { name: 'another port', root: { port: 80 }, own: { port: 81 }, fits: false },
  { name: 'a port that is not written', root: { port: 80 }, own: { port: 0 }, fits: true },
  { name: 'another namespace', root: { sourceNamespace: 'a' }, own: { sourceNamespace: 'b' }, fits: false },
  { name: 'another gateway', root: { gateways: ['mesh'] }, own: { gateways: ['mesh', 'way'] }, fits: false },
  { name: 'no gateways', root: { gateways: ['way'] }, own: { gateways: [] }, fits: true },
  { name: 'other labels', root: { sourceLabels: { a: '1' } }, own: { sourceLabels: { a: '2' } }, fits: false },
  {
    name: 'another reading of letters',
    root: { uri: { prefix: '/a' }, ignoreUriCase: true },
    own: { uri: { prefix: '/a' } },
    fits: false,
  },
];
for (const { name, root, own, fits } of pairs) {
  test(`config-api 4.4: a delegate's match with ${name} ${fits ? 'narrows' : 'is apart from'} the root's`, () => {
    const { rules, apart } = delegatedRules({ match: [root] }, [{ ...TO, match: [own] }]);
    assert.deepEqual([rules.length, apart], fits ? [1, []] : [0, [0]]);
  });
}

test('config-api 4.4: requests have to fit both, and nothing that is empty widens what the root says', () => {
  const root = { uri: { prefix: '/a' }, port: 80, sourceNamespace: 'web', gateways: ['mesh'], headers: { x: { exact: '1' } } };
  const own = { method: { exact: 'GET' }, port: 0, sourceNamespace: '', gateways: [], headers: { y: {} } };
  const [rule] = delegatedRules({ match: [root] }, [{ ...TO, match: [own] }]).rules;
  const both = { ...root, method: { exact: 'GET' }, headers: { x: { exact: '1' }, y: {} } };
  assert.deepEqual(rule?.match, [{ ...both, withoutHeaders: {}, queryParams: {}, sourceLabels: {} }]);
});

test('config-api 4.4: each entry of a delegate is put together with each of the root that it narrows', () => {
  const root: RawVirtualRule = { name: 'r', match: [{ uri: { prefix: '/a' } }, { uri: { prefix: '/b' }, name: 'b' }] };
  const { rules, apart } = delegatedRules(root, [
    { ...TO, name: 'd', match: [{ method: { exact: 'GET' }, name: 'get' }] },
    { ...TO, match: [{ uri: { exact: '/a/x' } }, { uri: { exact: '/c' } }] },
    { ...TO },
  ]);
  assert.deepEqual(
    rules.map(({ name, match = [] }) => [name, match.map((one) => [one.name ?? '', one.uri, one.method])]),
    [
      [
        'r-d',
        [
          ['get', { prefix: '/a' }, { exact: 'GET' }],
          ['b-get', { prefix: '/b' }, { exact: 'GET' }],
        ],
      ],
      [
        'r',
        [
          ['', { prefix: '/a' }, undefined],
          ['b', { prefix: '/b' }, undefined],
        ],
      ],
    ],
  );
  assert.deepEqual(apart, [1], 'an entry that fits nothing takes its rule with it');
});

test('config-api 4.4: what both say of how requests are treated, the delegate decides', () => {
  const root: RawVirtualRule = { timeout: '1s', rewrite: { uri: '/r' }, mirror: { host: 'm' }, mirrorPercentage: { value: 5 } };
  const { rules } = delegatedRules(root, [
    { ...TO, timeout: '2s' },
    { ...TO, mirrors: [{ destination: { host: 'n' } }] },
  ]);
  assert.deepEqual(rules, [
    { ...root, ...TO, timeout: '2s', name: '' },
    { ...TO, timeout: '1s', rewrite: { uri: '/r' }, mirrors: [{ destination: { host: 'n' } }], name: '' },
  ]);
});
