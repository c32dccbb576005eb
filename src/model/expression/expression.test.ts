import assert from 'node:assert/strict';
import test from 'node:test';
import type { AttributeName, Facts, Value } from './attributes.ts';
import { compileExpression, compileFilter, compileText } from './expression.ts';

const KNOWN: Partial<Record<AttributeName, Value>> = {
  'request.url_path': '/api/cart',
  'request.path': '/api/cart?x=1',
  'request.method': 'GET',
  'request.host': 'shop.example',
  'request.duration': 1_500,
  'response.code': 503,
  'response.flags': 2,
  'connection.mtls': true,
  'source.port': 4_711,
};
const FACTS: Facts = {
  attribute: (name) => KNOWN[name],
  header: (name) => ({ 'x-team': 'Käse', 'user-agent': 'curl' })[name],
};

function evaluate(text: string): Value | undefined {
  const outcome = compileExpression(text);
  assert.ok(outcome.kind === 'compiled', `${text}: ${outcome.kind === 'refused' ? outcome.why : ''}`);
  return outcome.expression.of(FACTS);
}

const VALUES: [expression: string, value: Value | undefined][] = [
  ['response.code >= 400', true],
  ['response.code >= 400 && response.code < 500', false],
  ["request.url_path.startsWith('/api')", true],
  ['request.url_path.startsWith("/api") && !(request.method in ["POST", "PUT"])', true],
  ['connection.mtls', true],
  ['!connection.mtls || response.code == 503', true],
  ['has(response.grpc_status)', false],
  ['has(response.code)', true],
  ["has(request.headers.x) || has(request.headers['x-team'])", true],
  ["'X-Team' in request.headers", true],
  ["'x-none' in request.headers", false],
  ["request.headers['x-team']", 'Käse'],
  ["size(request.headers['x-team'])", 4],
  ["request.headers['X-TEAM'].size() == 4", true],
  ["request.headers['x-none']", undefined],
  ['request.duration > duration("1s")', true],
  ["request.duration > duration('1m30s') ", false],
  ['request.host + "/" + string(response.code)', 'shop.example/503'],
  ['response.code - 500 == 3', true],
  ['response.code == -1', false],
  ['response.code > 499 ? "bad" : "good"', 'bad'],
  ["request.path.matches('c[a]rt')", true],
  ["request.path.matches('^cart')", false],
  [String.raw`"a\n\"b'" == 'a\n"b\''`, true],
  [String.raw`r"\d" == "\\d"`, true],
  ['1.5 < 2 && 0x10 == 16', true],
  ['true || false && false', true],
  ['(true || false) && false', false],
  ['int("12") + 1', 13],
  ['int(request.method)', undefined],
];
for (const [expression, value] of VALUES)
  test(`config-api 5.1: ${expression} is ${value}`, () => assert.equal(evaluate(expression), value));

const MISSING: [expression: string, value: Value | undefined][] = [
  ['response.grpc_status != 0', undefined],
  ['!(response.grpc_status != 0)', undefined],
  ['response.grpc_status != 0 || response.code >= 500', true],
  ['response.code >= 500 || response.grpc_status != 0', true],
  ['response.grpc_status != 0 && response.code < 500', false],
  ['response.grpc_status != 0 && response.code >= 500', undefined],
  ['response.grpc_status != 0 ? true : true', undefined],
];
for (const [expression, value] of MISSING)
  test(`config-api 5.1: what is missing decides nothing: ${expression}`, () => assert.equal(evaluate(expression), value));

const REFUSED: [expression: string, why: RegExp, unknown?: string][] = [
  ['', /ends too early/],
  ['response.cod >= 400', /no attribute response\.cod here/, 'response.cod'],
  ['reponse', /no attribute reponse/, 'reponse'],
  ['request.time > 1', /no attribute request\.time/, 'request.time'],
  ['response.code >= "400"', /">=" does not compare number with text/],
  ['connection.mtls > false', /">" does not compare truth with truth/],
  ['response.code && true', /"&&" takes a truth, and here it is a number/],
  ['response.code >=', /ends too early/],
  ['(response.code >= 400', /ends too early, where \) was to come/],
  ['response.code >= 400)', /"\)" at character 21 is not expected/],
  ['response.code = 400', /begins with "="/],
  ['response.code * 2 > 4', /begins with "\*"/],
  ['request.headers', /headers, neither true nor false/],
  ['request.headers[request.method] == ""', /name of a header is written/],
  ["request.method.matches('(a')", /pattern of matches/],
  ['request.method.matches(request.path)', /pattern of matches is written/],
  ["request.method.split('a') == 'b'", /no function split/, 'split'],
  ["duration('soon') > duration('1s')", /such as "1\.5s"/],
  ['request.method in [request.path]', /list holds written values/],
  ["request.method in ['a', 1]", /of one type/],
  ['"\\q" == "q"', /stands for no character/],
  ['"open', /begins with "\\""/],
  [`${'('.repeat(100)}true${')'.repeat(100)}`, /nested deeper than 32/],
  [`${'!'.repeat(100)}true`, /too many signs/],
  [`true${' '.repeat(5_000)}`, /longer than 4096/],
  ['request.method.path', /a text has no field path/, 'path'],
];
for (const [expression, why, unknown = null] of REFUSED)
  test(`config-api 5.1: refused: ${expression.slice(0, 60)}`, () => {
    const outcome = compileFilter(expression);
    assert.ok(outcome.kind === 'refused');
    assert.match(outcome.why, why);
    assert.equal(outcome.unknown, unknown);
  });

test('config-api 5.1: a filter is true or false, a tag may be anything', () => {
  assert.equal(compileFilter('request.method').kind, 'refused');
  assert.equal(compileText('request.method').kind, 'compiled');
  assert.equal(compileText('request.headers').kind, 'refused');
  assert.equal(compileText('[1, 2]').kind, 'refused');
});

test('a pattern takes time linear in its text', () => {
  const outcome = compileExpression(`request.path.matches('(a*)*b')`);
  assert.ok(outcome.kind === 'compiled');
  const long = 'a'.repeat(20_000);
  assert.equal(outcome.expression.of({ attribute: () => long, header: () => undefined }), false);
});
