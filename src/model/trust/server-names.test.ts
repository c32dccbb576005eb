import assert from 'node:assert/strict';
import test from 'node:test';
import { serverNameOf, whyNotServer } from './server-names.ts';

const names = (...texts: string[]) => texts.map(serverNameOf);

test('a certificate is that of a server if it has one of its names', () => {
  const cases: [presented: string[], wanted: string[], isServer: boolean][] = [
    [['a.example.com'], ['a.example.com'], true],
    [['A.Example.com'], ['a.example.com.'], true],
    [['b.example.com', 'a.example.com'], ['x.example.com', 'a.example.com'], true],
    [['*.example.com'], ['a.example.com'], true],
    [['*.example.com'], ['a.b.example.com'], false],
    [['*.example.com'], ['example.com'], false],
    [['*.example.com'], ['.example.com'], false],
    [['*.com'], ['example.com'], false],
    [['*'], ['a.example.com'], false],
    [['a*.example.com'], ['ab.example.com'], false],
    [['*.*.com'], ['a.*.com'], false],
    [['*.example.com'], ['*.example.com'], true],
    [['a.example.com.evil.org'], ['a.example.com'], false],
    [['10.0.0.1'], ['10.0.0.1'], true],
    [['spiffe://td/ns/a/sa/b'], ['spiffe://td/ns/a/sa/b'], true],
    [['spiffe://td/ns/A/sa/b'], ['spiffe://td/ns/a/sa/b'], false],
    [['a.example.com'], ['https://a.example.com'], false],
    [[], ['a.example.com'], false],
    // Nothing is wanted: nobody is believed.
    [['a.example.com'], [], false],
  ];
  for (const [presented, wanted, isServer] of cases)
    assert.equal(whyNotServer(names(...presented), names(...wanted)) === null, isServer, `${presented} for ${wanted}`);
});

test('a name of one kind is none of another, though it reads the same', () => {
  assert.notEqual(whyNotServer([{ kind: 'dns', value: '10.0.0.1' }], names('10.0.0.1')), null);
});

test('who is refused is told for whom the certificate is, of many names the first', () => {
  assert.equal(whyNotServer(names('b.com'), names('a.com')), 'its certificate is for b.com, and not for a.com');
  assert.equal(whyNotServer([], names('a.com')), 'its certificate is for nobody, and not for a.com');
  const many = names('1.com', '2.com', '3.com', '4.com', '5.com', '6.com', '7.com');
  assert.equal(
    whyNotServer(many, names('a.com')),
    'its certificate is for 1.com, 2.com, 3.com, 4.com, 5.com and 2 more, and not for a.com',
  );
});
