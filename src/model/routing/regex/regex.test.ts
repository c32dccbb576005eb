import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { compileRegex, quotePattern } from '#model/routing/regex/regex.ts';

function matches(pattern: string, text: string): boolean {
  const outcome = compileRegex(pattern);
  assert.equal(outcome.kind, 'compiled', outcome.kind === 'refused' ? outcome.why : '');
  return outcome.kind === 'compiled' && outcome.regex.matches(text);
}

const CASES: { pattern: string; yes: string[]; no: string[] }[] = [
  { pattern: '', yes: [''], no: ['a'] },
  { pattern: '/v[12]/.*', yes: ['/v1/', '/v2/x/y'], no: ['/v3/', '/v1', 'x/v1/'] },
  { pattern: '/users/\\d+', yes: ['/users/42'], no: ['/users/', '/users/4x'] },
  { pattern: 'a|bc|', yes: ['a', 'bc', ''], no: ['abc', 'b'] },
  { pattern: '(?i)chrome.*', yes: ['Chrome/1', 'CHROME'], no: ['firefox'] },
  { pattern: '(?i:a)b', yes: ['Ab', 'ab'], no: ['AB'] },
  { pattern: 'x{2,3}', yes: ['xx', 'xxx'], no: ['x', 'xxxx'] },
  { pattern: 'x{2,}y{0}', yes: ['xx', 'xxxxx'], no: ['x', 'xxy'] },
  { pattern: 'x{,2}', yes: ['x{,2}'], no: ['x', 'xx'] },
  { pattern: '^/a$', yes: ['/a'], no: ['/ab'] },
  { pattern: '.*\\bcat\\b.*', yes: ['a cat', 'cat', 'the-cat!'], no: ['concat', 'cats'] },
  { pattern: 'a\\Bb', yes: ['ab'], no: ['a b'] },
  { pattern: '\\Aab\\z', yes: ['ab'], no: ['abc'] },
  { pattern: '\\Qa.b*\\E+', yes: ['a.b*', 'a.b***'], no: ['axb*', 'a.b*a.b*'] },
  { pattern: '[[:alpha:]_]+[^]a]', yes: ['ab_x'], no: ['ab]', '1x'] },
  { pattern: '[]a-c-]+', yes: [']abc-'], no: ['d'] },
  { pattern: '(?P<id>[0-9a-f]{8})', yes: ['deadbeef'], no: ['xyz'] },
  { pattern: '\\x41\\x{42}\\103', yes: ['ABC'], no: ['abc'] },
  { pattern: '(?s).', yes: ['\n', 'a'], no: [''] },
  { pattern: '.', yes: ['a', 'é'], no: ['\n'] },
];

for (const { pattern, yes, no } of CASES) {
  test(`the pattern "${pattern}" is a full match`, () => {
    for (const text of yes) assert.ok(matches(pattern, text), `should match ${JSON.stringify(text)}`);
    for (const text of no) assert.ok(!matches(pattern, text), `should not match ${JSON.stringify(text)}`);
  });
}

const REFUSED = [
  '(?=a)',
  '(?!a)',
  '(?<=a)b',
  '(?<!a)b',
  '(a)\\1',
  '\\k<n>',
  'a**',
  '*a',
  '(a',
  'a)',
  '[a',
  '[b-a]',
  'x{3,2}',
  'x{1001}',
];
const ALSO_REFUSED = ['\\pL', '\\C', '(?m)^a$', '(?z)', 'a\\', '((x{1000}){1000})', 'y'.repeat(1_025)];

for (const pattern of [...REFUSED, ...ALSO_REFUSED]) {
  test(`the pattern "${pattern.slice(0, 20)}" is refused with a reason`, () => {
    const outcome = compileRegex(pattern);
    assert.equal(outcome.kind, 'refused');
  });
}

test('a pattern that makes a backtracking engine explode is matched in linear time', () => {
  const outcome = compileRegex('(a*)*(a|a)*(a+)+b');
  assert.ok(outcome.kind === 'compiled');
  assert.equal(outcome.regex.matches('a'.repeat(50_000)), false);
  assert.equal(outcome.regex.matches(`${'a'.repeat(50_000)}b`), true);
});

test('many different states do not grow memory without bound and do not change the answer', () => {
  const outcome = compileRegex('(.*a.{12})|b');
  assert.ok(outcome.kind === 'compiled');
  const oracle = /^(?:(.*a.{12})|b)$/;
  const random = fc.sample(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 200, maxLength: 300 }), {
    numRuns: 60,
    seed: 7,
  });
  for (const text of random) assert.equal(outcome.regex.matches(text), oracle.test(text));
});

test('a quoted text matches itself only', () => {
  fc.assert(
    fc.property(fc.string(), (text) => assert.ok(matches(quotePattern(text), text))),
    { numRuns: 200 },
  );
});

const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\d', 'c', '-', '\\b', '^', '$');
const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc.array(tie('piece'), { maxLength: 4 }).map((parts) => parts.join('')),
  ),
  piece: fc.oneof(
    { maxDepth: 4 },
    atom,
    fc
      .tuple(tie('pattern'), fc.constantFrom('', '*', '+', '?', '{1,2}', '*?', '{2}'))
      .map(([body, repeat]) => `(?:${body})${repeat}`),
    fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => `(${left}|${right})`),
  ),
}));

test('the linear engine agrees with the backtracking one', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-', '1'), maxLength: 8 });
  fc.assert(
    fc.property(pattern, text, (source, input) => {
      assert.equal(matches(source, input), new RegExp(`^(?:${source})$`).test(input), `${source} on ${input}`);
    }),
    { numRuns: 2_000 },
  );
});
