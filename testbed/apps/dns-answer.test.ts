import assert from 'node:assert/strict';
import test from 'node:test';
import dnsPacket from 'dns-packet';
import fc from 'fast-check';
import { answerQuery, readFrames } from './dns-answer.ts';

const zone = { name: 'www.outside.example', a: '198.51.100.10', aaaa: '2001:db8:100::10' };
const ask = (name: string, type: 'A' | 'AAAA') => {
  const query = dnsPacket.encode({ type: 'query', id: 7, flags: dnsPacket.RECURSION_DESIRED, questions: [{ type, name }] });
  const reply = dnsPacket.decode(answerQuery(zone, query).reply);
  return {
    id: reply.id,
    rcode: (reply.flags ?? 0) & 15,
    data: reply.answers?.map((answer) => ('data' in answer ? answer.data : null)),
  };
};

test('the known name has both addresses, every other name does not exist', () => {
  assert.deepEqual(ask('www.outside.example', 'A'), { id: 7, rcode: 0, data: ['198.51.100.10'] });
  assert.deepEqual(ask('WWW.outside.example', 'AAAA'), { id: 7, rcode: 0, data: ['2001:db8:100::10'] });
  assert.deepEqual(ask('shop.outside.example', 'A'), { id: 7, rcode: 3, data: [] });
});

test('messages over TCP are found wherever the stream is cut', () => {
  const message = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.nat(50), (messages, cut) => {
      const stream = Buffer.concat(messages.flatMap((one) => [Buffer.from([one.length >> 8, one.length & 255]), one]));
      const first = readFrames(stream.subarray(0, cut));
      const second = readFrames(Buffer.concat([first.rest, stream.subarray(cut)]));
      assert.deepEqual([...first.frames, ...second.frames], messages);
    }),
  );
});
