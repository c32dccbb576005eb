import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { assembleStreams, type Segment } from './pcap.ts';
import { inspectTls } from './wire-report.ts';

const segment = (sequence: number, payload: string, syn = false): Segment => ({
  source: '10.0.0.1',
  sourcePort: 40_000,
  destination: '10.0.0.2',
  destinationPort: 15_008,
  sequence: sequence >>> 0,
  syn,
  payload: Buffer.from(payload, 'latin1'),
});

const cases = [
  {
    name: 'retransmissions are counted once',
    segments: [segment(9, '', true), segment(10, 'abc'), segment(10, 'abc'), segment(12, 'cde')],
    want: 'abcde',
    incomplete: false,
  },
  {
    name: 'a hole ends the stream',
    segments: [segment(9, '', true), segment(10, 'abc'), segment(20, 'xyz')],
    want: 'abc',
    incomplete: true,
  },
  {
    name: 'a stream captured from its middle begins with its first byte',
    segments: [segment(103, 'def'), segment(100, 'abc')],
    want: 'abcdef',
    incomplete: false,
  },
  { name: 'an acknowledgement carries nothing', segments: [segment(9, '', true), segment(10, '')], want: '', incomplete: false },
];
for (const { name, segments, want, incomplete } of cases) {
  test(name, () => {
    const [stream] = assembleStreams(segments);
    assert.equal(stream?.bytes.toString('latin1'), want);
    assert.equal(stream?.incomplete, incomplete);
  });
}

test('any order of arrival, at any sequence number, gives the bytes as they were sent', () => {
  const parts = fc.array(fc.string({ minLength: 1, maxLength: 9, unit: 'binary-ascii' }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(parts, fc.nat(0xffff_ffff), fc.infiniteStream(fc.nat()), (texts, start, order) => {
      let sequence = start + 1;
      const sent = texts.map((text) => {
        const one = segment(sequence, text);
        sequence += text.length;
        return { one, rank: order.next().value ?? 0 };
      });
      const shuffled = sent.sort((a, b) => a.rank - b.rank).map(({ one }) => one);
      const [stream] = assembleStreams([segment(start, '', true), ...shuffled]);
      assert.equal(stream?.bytes.toString('latin1'), texts.join(''));
      assert.equal(stream?.fromStart, true);
    }),
  );
});

const record = (type: number, body: number[]): Buffer => Buffer.from([type, 3, 3, body.length >> 8, body.length & 255, ...body]);
const clientHello = record(22, [1, 0, 0, 0]);
const data = record(23, [1, 2, 3]);
const streams = [
  { name: 'hello, dummy change-cipher-spec, data', bytes: [clientHello, record(20, [1]), data], fromStart: true, problem: null },
  { name: 'only data when captured from the middle', bytes: [data, data], fromStart: false, problem: null },
  { name: 'data without a hello', bytes: [data], fromStart: true, problem: /does not have here/ },
  { name: 'a plain alert', bytes: [clientHello, record(21, [2, 40])], fromStart: true, problem: /does not have here/ },
  {
    name: 'a second handshake message in plain text',
    bytes: [clientHello, record(22, [11, 0, 0, 0])],
    fromStart: true,
    problem: /does not have here/,
  },
  { name: 'a handshake after data', bytes: [clientHello, data, clientHello], fromStart: true, problem: /does not have here/ },
  { name: 'HTTP', bytes: [Buffer.from('GET / HTTP/1.1\r\n\r\n')], fromStart: true, problem: /no TLS record/ },
];
for (const { name, bytes, fromStart, problem } of streams) {
  test(`${name} is ${problem === null ? '' : 'not '}a TLS 1.3 stream`, () => {
    const report = inspectTls(Buffer.concat(bytes), 'client', fromStart);
    if (problem === null) assert.equal(report.problem, null);
    else assert.match(report.problem ?? '', problem);
  });
}
