import assert from 'node:assert/strict';
import test from 'node:test';
import { type Sniffed, sniff } from '#protocol/http/sniff.ts';

const CASES: { bytes: string; want: Sniffed }[] = [
  { bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes', want: 'http2' },
  { bytes: 'GET / HTTP/1.1\r\n', want: 'http1' },
  { bytes: 'POST /a?b HTTP/1.1\r\nhost: a\r\n\r\n', want: 'http1' },
  { bytes: 'GET / HTTP/1.0\r\n', want: 'http1' },
  { bytes: 'GET / HTTP/1.1\n', want: 'http1' },
  { bytes: '\x16\x03\x01\x02\x00', want: 'other' },
  { bytes: 'EHLO mail.example\r\n', want: 'other' },
  { bytes: '*1\r\n$4\r\nPING\r\n', want: 'other' },
  { bytes: 'GET key\r\n', want: 'other' },
  { bytes: 'PRI * HTTP/2.0\r\n\r\nXX', want: 'http1' },
  { bytes: 'hello there general\n', want: 'other' },
  { bytes: '\r\nGET / HTTP/1.1\r\n', want: 'other' },
  { bytes: 'X'.repeat(33), want: 'other' },
  { bytes: `GET /${'x'.repeat(17_000)}`, want: 'other' },
];

for (const { bytes, want } of CASES) {
  test(`sniffing ${JSON.stringify(bytes.slice(0, 24))} says ${want}`, () =>
    assert.equal(sniff(Buffer.from(bytes, 'latin1')), want));
}

test('sniffing waits for more as long as both are possible', () => {
  for (const whole of ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'DELETE /a/b HTTP/1.1\r\n']) {
    for (let length = 0; length < whole.length; length++)
      assert.equal(sniff(Buffer.from(whole.slice(0, length))), 'undecided', `${length}`);
    assert.notEqual(sniff(Buffer.from(whole)), 'undecided');
  }
});
