import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPublication, parsePublications, readPublication } from './publication.ts';

for (const [text, want] of [
  ['8080:80', '0.0.0.0:8080->80/tcp'],
  ['127.0.0.1:8080:80', '127.0.0.1:8080->80/tcp'],
  ['[::1]:8080:80', '[::1]:8080->80/tcp'],
  ['[::]:8080:80/tcp', '[::]:8080->80/tcp'],
  ['8080:80/tcp', '0.0.0.0:8080->80/tcp'],
  ['53:53/udp', 'protocol'],
  ['8080', 'form'],
  ['8080:', 'form'],
  [':80', 'form'],
  ['0:80', 'form'],
  ['8080:65536', 'form'],
  ['8080-8090:80', 'form'],
  ['::1:8080:80', 'form'],
  ['[127.0.0.1]:8080:80', 'form'],
  ['localhost:8080:80', 'form'],
  ['8080:80/', 'form'],
  ['', 'form'],
] as const)
  test(`H16: a publication: ${JSON.stringify(text)}`, () => {
    const found = readPublication(text);
    assert.equal(typeof found === 'string' ? found : formatPublication(found), want);
  });

test('H16: publications from outside are whole, or none is taken', () => {
  const one = readPublication('127.0.0.1:8080:80');
  assert.deepEqual(parsePublications(JSON.parse(JSON.stringify([one]))), [one]);
  assert.deepEqual(parsePublications(undefined), []);
  for (const wrong of [null, {}, [null], ['8080:80'], [{ ip: 'x', hostPort: 1, port: 1 }], [{ ip: '::', hostPort: 0, port: 1 }]])
    assert.equal(parsePublications(wrong), null, JSON.stringify(wrong));
});
