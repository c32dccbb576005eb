import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { createFrameReader, frameMessage } from '#protocol/dns/frame.ts';

test('messages come out whole however the stream is cut', () => {
  const message = fc.uint8Array({ minLength: 12, maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), cuts, (messages, sizes) => {
      const stream = Buffer.concat(messages.map(frameMessage));
      const reader = createFrameReader(65_535);
      const got: Buffer[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        const reading = reader.push(stream.subarray(at, at + size));
        assert.ok(reading.kind === 'messages');
        got.push(...reading.messages);
        at += size;
      }
      assert.deepEqual(got, messages);
    }),
  );
});

test('a length over the limit breaks the stream before its bytes arrive', () => {
  assert.equal(createFrameReader(4_096).push(Buffer.of(0x10, 0x01)).kind, 'broken');
});

test('a length under a header breaks the stream', () => {
  assert.equal(createFrameReader(4_096).push(Buffer.of(0, 11)).kind, 'broken');
});
