import assert from 'node:assert/strict';
import test from 'node:test';
import { encode } from 'dns-packet';
import { checkReply, withId } from '#protocol/dns/upstream-reply.ts';

const query = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'Example.com', class: 'IN' }] });
const reply = (name: string, flags = 0, type: 'A' | 'AAAA' = 'A') =>
  encode({ type: 'response', id: 9, flags, questions: [{ type, name, class: 'IN' }] });
const bare = (flags: number) => encode({ type: 'response', id: 9, flags });

const cases = [
  { name: 'the answer to the query', bytes: reply('Example.com'), want: 'reply' },
  { name: 'in other letter case', bytes: reply('eXAMPLE.com'), want: 'reply' },
  { name: 'a failure without its question', bytes: bare(2), want: 'reply' },
  { name: 'a success without its question', bytes: bare(0), want: 'other question' },
  { name: 'another name', bytes: reply('Example.org'), want: 'other question' },
  { name: 'another type', bytes: reply('Example.com', 0, 'AAAA'), want: 'other question' },
  { name: 'another id', bytes: withId(reply('Example.com'), 10), want: 'other id' },
  { name: 'another opcode', bytes: reply('Example.com', 0x2800), want: 'other opcode' },
  { name: 'a query', bytes: query, want: 'not a response' },
  { name: 'too few bytes', bytes: reply('Example.com').subarray(0, 11), want: 'too short' },
];
for (const { name, bytes, want } of cases) {
  test(`an upstream message that is ${name}: ${want}`, () => {
    const check = checkReply(query, bytes);
    assert.equal(check.kind === 'mismatch' ? check.why : check.kind, want);
  });
}

test('TC and the code of a reply are reported', () => {
  assert.deepEqual(checkReply(query, reply('example.com', 0x0203)), { kind: 'reply', truncated: true, rcode: 3 });
});

test('a new id leaves the original alone', () => {
  assert.equal(withId(query, 77).readUInt16BE(0), 77);
  assert.equal(query.readUInt16BE(0), 9);
});
