import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { assembleStreams, readCapture, type Segment } from './pcap.ts';
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

/** An Ethernet frame from its type and what follows, in hexadecimal. */
const frame = (type: string, ...packet: string[]): Buffer =>
  Buffer.from(`${'02'.repeat(12)}${type}${packet.join('')}`.replaceAll(' ', ''), 'hex');
const ip4 = (protocol: string, fragment = '0000'): string =>
  `45000014 0001 ${fragment} 40 ${protocol} 0000 0a590102 0a590202${'00'.repeat(20)}`;
const ip6 = (next: string, payload: string): string =>
  `60000000 0020 ${next} ff fd89000000000001000000000000 0002 fd89000000000002000000000000 0002 ${payload}`;

/** A capture file of these frames. */
function pcapOf(frames: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4);
  header.writeUInt32LE(1, 20);
  const records = frames.flatMap((one) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(one.length, 8);
    record.writeUInt32LE(one.length, 12);
    return [record, one];
  });
  return Buffer.concat([header, ...records]);
}

const strayCases: readonly (readonly [string, Buffer, RegExp | null])[] = [
  ['ARP', frame('0806', '00'.repeat(28)), null],
  ['a neighbour solicitation', frame('86dd', ip6('3a', `87000000${'00'.repeat(20)}`)), null],
  ['a report of a listener to multicast', frame('86dd', ip6('00', `3a00050200000100 8f000000${'00'.repeat(20)}`)), null],
  ['a ping', frame('0800', ip4('01')), /^1 × IPv4 protocol 1 from 10\.89\.1\.2 to 10\.89\.2\.2$/],
  ['a ping over IPv6', frame('86dd', ip6('3a', `80000000${'00'.repeat(20)}`)), /IPv6 next header 58/],
  ['a datagram', frame('0800', ip4('11')), /protocol 17/],
  ['SCTP', frame('0800', ip4('84')), /protocol 132/],
  ['a packet in a packet', frame('0800', ip4('04')), /protocol 4 /],
  ['TCP behind a fragment header', frame('86dd', ip6('2c', `0600000100000001${'00'.repeat(20)}`)), /next header 44/],
  ['a fragment of TCP', frame('0800', ip4('06', '2001')), /protocol 6 /],
  ['a frame of another kind', frame('88b5', '00'.repeat(40)), /ethertype 0x88b5/],
  ['a frame with a VLAN tag', frame('8100', `00010800${ip4('06')}`), /ethertype 0x8100/],
];
for (const [name, one, problem] of strayCases) {
  test(`${name} between nodes is ${problem === null ? 'nothing to tell' : 'told'}`, () => {
    const { strays, segments } = readCapture(pcapOf([one]));
    assert.equal(segments.length, 0);
    if (problem === null) assert.deepEqual(strays, []);
    else assert.match(strays.join(), problem);
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
  { name: 'a dummy and data when captured from the middle', bytes: [record(20, [1]), data], fromStart: false, problem: null },
  { name: 'a hello when captured after the SYN', bytes: [clientHello, data], fromStart: false, problem: null },
  {
    name: 'data from within a record on, captured from the middle',
    bytes: [Buffer.from([112, 3, 200, 23, 3, 3, 9]), data, data],
    fromStart: false,
    problem: null,
  },
  {
    name: 'data from within a record on, captured from the start',
    bytes: [Buffer.from([112, 200]), data, data],
    fromStart: true,
    problem: /no TLS record/,
  },
  {
    name: 'data and then plain text, captured from the middle',
    bytes: [Buffer.from([112, 200]), data, Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    fromStart: false,
    problem: /no TLS record/,
  },
  {
    name: 'HTTP, captured from the middle',
    bytes: [Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    fromStart: false,
    problem: /no TLS record/,
  },
  {
    name: 'a hello after data, captured from the middle',
    bytes: [data, clientHello],
    fromStart: false,
    problem: /does not have here/,
  },
  { name: 'a dummy after data', bytes: [data, record(20, [1])], fromStart: false, problem: /does not have here/ },
  { name: 'data without a hello', bytes: [data], fromStart: true, problem: /does not have here/ },
  { name: 'an alert that refuses the handshake, alone', bytes: [record(21, [2, 40])], fromStart: true, problem: null },
  { name: 'an alert and more', bytes: [record(21, [2, 40]), data], fromStart: true, problem: /does not have here/ },
  {
    name: 'an alert after a hello, as the last',
    bytes: [clientHello, record(21, [2, 50])],
    fromStart: true,
    problem: null,
  },
  {
    name: 'an alert after a hello, and more',
    bytes: [clientHello, record(21, [2, 50]), data],
    fromStart: true,
    problem: /does not have here/,
  },
  {
    name: 'a plain alert after data',
    bytes: [clientHello, data, record(21, [2, 50])],
    fromStart: true,
    problem: /does not have here/,
  },
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
