import assert from 'node:assert/strict';
import test from 'node:test';
import { formatFieldPath } from '#control-plane/resources/finding.ts';
import { checkCondition } from './check-condition.ts';
import { checkValues } from './check-values.ts';

/** `severity field: message` of each problem with one value of a field. */
function problemsWith(field: string, ...values: string[]): string[] {
  return checkValues(field, values, [field]).map(
    ({ severity, path, message, remedy }) => `${severity} ${formatFieldPath(path)}: ${message} → ${remedy}`,
  );
}

const valid: Record<string, string[]> = {
  principals: ['cluster.local/ns/shop/sa/web', '*', '*/sa/web', 'cluster.local/ns/shop/*'],
  requestPrincipals: ['*', 'issuer/subject'],
  namespaces: ['shop', 'shop-*'],
  serviceAccounts: ['web', 'shop/web', 'shop/a.b'],
  trustDomains: ['cluster.local', '*.local', 'cluster.*', '*'],
  ipBlocks: ['10.0.0.1', '10.0.0.0/8', 'fd00::/8', '0.0.0.0/0'],
  remoteIpBlocks: ['192.168.0.0/16'],
  hosts: ['a.example', '*.example', 'a.*'],
  ports: ['1', '80', '65535'],
  methods: ['GET', 'PATCH', '*', 'PURGE'],
  paths: ['/', '/a/b', '/a*', '*/b', '*', '/a/{*}/b', '/a/{**}', '/{*}/{**}', '/a/{**}/b'],
};
for (const [field, values] of Object.entries(valid)) {
  test(`${field} may be ${values.join(', ')}, and so may what they must not be`, () => {
    const negative = `not${field.charAt(0).toUpperCase()}${field.slice(1)}`;
    assert.deepEqual([problemsWith(field, ...values), problemsWith(negative, ...values)], [[], []]);
  });
}

const invalid: { field: string; value: string; says: RegExp }[] = [
  {
    field: 'principals',
    value: 'spiffe://cluster.local/ns/a/sa/b',
    says: /^warning .*without spiffe:\/\/ → write cluster.local\/ns\/a\/sa\/b/,
  },
  { field: 'principals', value: 'a*b', says: /^warning .*wildcard only at the beginning or the end/ },
  { field: 'principals', value: '*a*', says: /^warning .*only once/ },
  { field: 'requestPrincipals', value: 'a*b', says: /^warning .*compared literally/ },
  { field: 'serviceAccounts', value: 'shop/*', says: /^error .*is not a service account → .*no wildcards/ },
  { field: 'serviceAccounts', value: 'a/b/c', says: /^error .*is not a service account/ },
  { field: 'serviceAccounts', value: 'Web', says: /^error .*is not a service account/ },
  { field: 'trustDomains', value: 'a*b', says: /^error .*is not a trust domain → .*at most one \*/ },
  { field: 'trustDomains', value: '*a*', says: /^error .*is not a trust domain/ },
  { field: 'trustDomains', value: 'a/b', says: /^error .*is not a trust domain/ },
  { field: 'ipBlocks', value: '10.0.0.0/33', says: /^error .*neither an IP address nor a range/ },
  { field: 'ipBlocks', value: '10.0.0', says: /^error .*neither an IP address nor a range/ },
  { field: 'ipBlocks', value: '10.1.2.3/8', says: /^warning .*means the range 10.0.0.0\/8 → write 10.0.0.0\/8$/ },
  { field: 'ipBlocks', value: 'fd00::1/8', says: /^warning .*means the range fd00::\/8/ },
  { field: 'ports', value: '0', says: /^error .*"0" is not a port/ },
  { field: 'ports', value: '65536', says: /^error .*not a port/ },
  { field: 'ports', value: '80-90', says: /^error .*one per item/ },
  { field: 'ports', value: '080', says: /^error .*not a port/ },
  { field: 'methods', value: 'get', says: /^warning .*HTTP methods are upper case → write GET$/ },
  { field: 'methods', value: 'G*T', says: /^warning .*compared literally/ },
  { field: 'paths', value: 'a/b', says: /^warning .*a path begins with \/ → write \/a\/b$/ },
  { field: 'paths', value: '/a/../b', says: /^warning .*never matches: a path is compared in its normal form/ },
  { field: 'paths', value: '/a\\b*', says: /^warning .*normal form/ },
  { field: 'paths', value: '/%2e%2e/b', says: /^warning .*normal form/ },
  { field: 'paths', value: '/a?b=c', says: /^warning .*normal form/ },
  { field: 'paths', value: '/a/*/b', says: /^warning .*in the middle is compared literally → write \/a\/\{\*\}\/b$/ },
  { field: 'paths', value: '/a/{x}', says: /^error .*"\{x\}" is not \{\*\} or \{\*\*\}/ },
  { field: 'paths', value: '/a{*}', says: /^error .*whole path segment/ },
  { field: 'paths', value: '/{**}/{*}', says: /^error .*must be the last operator/ },
  { field: 'paths', value: 'a/{*}', says: /^error .*a template begins with \// },
  { field: 'paths', value: '/{*}/*', says: /^error .*must not hold a plain \*/ },
  { field: 'paths', value: '/{*}/a b', says: /^error .*"a b" holds a character/ },
  { field: 'paths', value: '/a}', says: /^error .*whole path segment/ },
];
for (const { field, value, says } of invalid) {
  test(`${field} may not be ${value}`, () => {
    const [line, ...others] = problemsWith(field, value);
    assert.match(line ?? '', says);
    assert.deepEqual(others, []);
    assert.ok(line?.includes(` ${field}[0]: `), line);
  });
}

test('an empty list restricts nothing, an empty text matches nothing', () => {
  assert.deepEqual(problemsWith('hosts'), [
    'error hosts: an empty list restricts nothing → remove the field, or list at least one value',
  ]);
  assert.deepEqual(problemsWith('notHosts', 'a', ''), ['error notHosts[1]: an empty text matches nothing → remove it']);
});

/** `severity field: message` of each problem with a condition. */
function conditionProblems(condition: Parameters<typeof checkCondition>[0]): string[] {
  return checkCondition(condition, ['when', 0]).map(
    ({ severity, path, message }) => `${severity} ${formatFieldPath(path)}: ${message}`,
  );
}

const attributes: { key: string; values: string[] }[] = [
  { key: 'source.ip', values: ['10.0.0.0/8'] },
  { key: 'remote.ip', values: ['10.0.0.1'] },
  { key: 'source.namespace', values: ['shop'] },
  { key: 'source.principal', values: ['cluster.local/ns/shop/sa/web'] },
  { key: 'source.serviceAccount', values: ['shop/web'] },
  { key: 'source.trustDomain', values: ['cluster.local'] },
  { key: 'request.auth.principal', values: ['issuer/subject'] },
  { key: 'request.auth.audiences', values: ['a'] },
  { key: 'request.auth.presenter', values: ['a'] },
  { key: 'destination.ip', values: ['10.0.0.1'] },
  { key: 'destination.port', values: ['80'] },
  { key: 'connection.sni', values: ['a.example'] },
  { key: 'request.headers[x-user]', values: ['a'] },
  { key: 'request.auth.claims[groups]', values: ['a'] },
  { key: 'request.auth.claims[realm][roles]', values: ['a'] },
];
for (const { key, values } of attributes) {
  test(`${key} is an attribute`, () =>
    assert.deepEqual([conditionProblems({ key, values }), conditionProblems({ key, notValues: values })], [[], []]));
}

const badConditions: { name: string; condition: Parameters<typeof checkCondition>[0]; want: RegExp }[] = [
  {
    name: 'an address that is none',
    condition: { key: 'source.ip', values: ['x'] },
    want: /^error when\[0\]\.values\[0\]: "x" is neither/,
  },
  {
    name: 'a port that is none',
    condition: { key: 'destination.port', notValues: ['http'] },
    want: /^error when\[0\]\.notValues\[0\]: "http" is not a port/,
  },
  { name: 'an identity with its scheme', condition: { key: 'source.principal', values: ['spiffe://a'] }, want: /without spiffe/ },
  {
    name: "metadata of Envoy's filters",
    condition: { key: 'experimental.envoy.filters.a.b[c]', values: ['x'] },
    want: /^warning when\[0\]\.key: .*there is no Envoy here$/,
  },
  { name: 'no values', condition: { key: 'source.ip' }, want: /^error when\[0\]: a condition needs values or notValues$/ },
  {
    name: 'an empty list',
    condition: { key: 'source.ip', values: [] },
    want: /^error when\[0\]\.values: an empty list restricts nothing$/,
  },
  {
    name: 'an empty text',
    condition: { key: 'connection.sni', values: [''] },
    want: /^error when\[0\]\.values\[0\]: an empty text/,
  },
  { name: 'an attribute misspelt', condition: { key: 'source.ipp', values: ['10.0.0.1'] }, want: /did you mean "source.ip"\?$/ },
  {
    name: 'an index left out',
    condition: { key: 'request.headers', values: ['a'] },
    want: /^error when\[0\]\.key: "request.headers" is not an attribute, did you mean "request.headers\[…\]"\?$/,
  },
  { name: 'two indexes of a header', condition: { key: 'request.headers[a][b]', values: ['a'] }, want: /is not an attribute/ },
  {
    name: 'an index where there is none',
    condition: { key: 'source.ip[0]', values: ['10.0.0.1'] },
    want: /"source.ip\[0\]" is not an attribute/,
  },
  {
    name: 'an attribute of the past',
    condition: { key: 'destination.labels[app]', values: ['a'] },
    want: /is no longer an attribute$/,
  },
  {
    name: 'a name that every object inherits',
    condition: { key: 'constructor', values: ['a'] },
    want: /"constructor" is not an attribute$/,
  },
];
for (const { name, condition, want } of badConditions) {
  test(`a condition with a mistake: ${name}`, () => {
    const [line, ...others] = conditionProblems(condition);
    assert.match(line ?? '', want);
    assert.deepEqual(others, []);
  });
}
