import { Http2Error } from '#protocol/http/v2/constants.ts';
import { HpackDecoder } from '#protocol/http/v2/hpack-decoder.ts';
import { type TestEnd, testEnd } from '#protocol/http/v2/wire.testing.ts';
import { type FuzzTarget, require, requireSame } from '../target.ts';

/** Heads of frames of every type, and header fields in HPACK, as bytes. */
export const HTTP2_TOKENS = [
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ...[
    '\0\0\0\x04\0\0\0\0\0',
    '\0\0\0\x04\x01\0\0\0\0',
    '\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\xff\xff',
    '\0\0\x08\x06\0\0\0\0\0weftping',
  ],
  ...['\0\0\x04\x08\0\0\0\0\0\0\0\x10\0', '\0\0\x04\x08\0\0\0\0\x01\0\0\x10\0', '\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08'],
  ...['\0\0\x05\0\0\0\0\0\x01hello', '\0\0\x05\0\x01\0\0\0\x01hello', '\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0'],
  ...[
    '\0\0\x01\x01\x05\0\0\0\x01\x82',
    '\0\0\x01\x01\x04\0\0\0\x03\x82',
    '\0\0\x01\x09\x04\0\0\0\x01\x82',
    '\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10',
  ],
  ...[
    '\x82',
    '\x84',
    '\x40\x01a\x01b',
    '\x00\x01a\x01b',
    '\x3f\xe1\x1f',
    '\xff\xff\xff\xff\x0f',
    '\x41\x03a:1',
    '\x02\x07CONNECT',
  ],
];

/** What one end was told, stream by stream; DATA counts as bytes, however it was cut. */
function told(end: TestEnd): unknown {
  const streams = end.streams.map(({ headers, received, events }) => ({
    headers,
    received: received.toString('latin1'),
    events,
  }));
  return { events: end.events, streams, open: end.connection.streams };
}

function feed(role: 'client' | 'server', pieces: readonly Buffer[]): TestEnd {
  const end = testEnd(role);
  for (const piece of pieces) {
    // A copy that is spoiled afterwards: nobody may keep the chunk.
    const chunk = Buffer.from(piece);
    end.connection.receive(chunk);
    chunk.fill(0xee);
  }
  return end;
}

function target(role: 'client' | 'server', name: string): FuzzTarget {
  return {
    name,
    tokens: HTTP2_TOKENS,
    check(bytes, cut) {
      const whole = feed(role, [bytes]);
      requireSame(
        told(whole),
        told(feed(role, [bytes.subarray(0, cut), bytes.subarray(cut)])),
        'pieces do not change what is told',
      );
      require(whole.streams.every(({ received }) => received.length <= bytes.length), 'no more data than came');
      require(whole.written.length <= 64 * 1024 + 4 * bytes.length, 'answers stay in proportion to what came');
      require(whole.events.filter((event) => event.startsWith('failed')).length <= 1, 'a connection fails once');
    },
  };
}

/** Bytes of a client, at a server's connection. */
export const http2Target = target('server', 'http2');
/** Bytes of a server, at a client's connection. */
export const http2ClientTarget = target('client', 'http2-client');

const LIST_BYTES_MAX = 4096;

/** Header blocks: read within the bound of their list, or lost as a connection error. */
export const hpackTarget: FuzzTarget = {
  name: 'hpack',
  tokens: HTTP2_TOKENS,
  check(bytes, cut) {
    const decoder = new HpackDecoder(LIST_BYTES_MAX);
    for (const block of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      try {
        const headers = decoder.decode(block);
        const size = (headers ?? []).reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
        require(size <= LIST_BYTES_MAX, 'the bound of a header list holds');
      } catch (error) {
        if (!(error instanceof Http2Error)) throw error;
        return;
      }
    }
  },
};
