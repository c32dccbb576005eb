import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import {
  connectHeaders,
  formatForwarded,
  forwardedClient,
  forwardedHost,
  readConnect,
  readResponse,
  responseHeaders,
} from '#protocol/hbone/headers.ts';
import type { Header } from '#protocol/http/v2/field.ts';

const request = {
  authority: '10.0.0.2:80',
  client: '10.0.0.1:4444',
  serviceHost: null,
  baggage: 'service.name=a',
  traceparent: '00-1-2-00',
};

test('B13: a CONNECT has exactly authority, baggage, forwarded and traceparent', () => {
  assert.deepEqual(connectHeaders(request), [
    [':method', 'CONNECT'],
    [':authority', '10.0.0.2:80'],
    ['baggage', 'service.name=a'],
    ['forwarded', 'for="10.0.0.1:4444"'],
    ['traceparent', '00-1-2-00'],
  ]);
});

test('B14: forwarded gains host only for a service, and keeps the brackets of IPv6', () => {
  assert.equal(formatForwarded('10.0.0.1:4444', null), 'for="10.0.0.1:4444"');
  assert.equal(formatForwarded('[fd00::1]:4444', 'cart.shop.svc'), 'for="[fd00::1]:4444";host=cart.shop.svc');
});

test('only host= is read from forwarded', () => {
  assert.equal(forwardedHost('for="10.0.0.1:4444";host=cart.shop.svc'), 'cart.shop.svc');
  assert.equal(forwardedHost('for="10.0.0.1:4444"; Host="cart"'), 'cart');
  assert.equal(forwardedHost('for="10.0.0.1:4444"'), null);
  assert.equal(forwardedHost('host=a b'), null);
});

test('B12: an answer carries baggage only when there is some', () => {
  assert.deepEqual(responseHeaders(200, 'service.name=b'), [
    [':status', '200'],
    ['baggage', 'service.name=b'],
  ]);
  assert.deepEqual(responseHeaders(401, ''), [[':status', '401']]);
});

test('an answer reads back', () => {
  assert.deepEqual(readResponse(responseHeaders(200, 'x=y')), { status: 200, baggage: 'x=y' });
  assert.equal(readResponse([]), null);
  assert.equal(readResponse([[':status', 'ok']]), null);
});

const cases: { name: string; headers: Header[]; want: string }[] = [
  { name: 'a CONNECT', headers: connectHeaders(request), want: 'connect' },
  {
    name: 'a CONNECT without baggage or traceparent',
    headers: [
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
    ],
    want: 'connect',
  },
  {
    name: 'B6: a GET',
    headers: [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/'],
      [':authority', 'a'],
    ],
    want: 'other',
  },
  {
    name: 'an extended CONNECT',
    headers: [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':authority', 'a:1'],
    ],
    want: 'other',
  },
  { name: 'a CONNECT to nowhere', headers: [[':method', 'CONNECT']], want: 'other' },
  { name: 'no method', headers: [[':authority', 'a:1']], want: 'malformed' },
  {
    name: 'a pseudo-header twice',
    headers: [
      [':method', 'CONNECT'],
      [':method', 'GET'],
    ],
    want: 'malformed',
  },
  {
    name: 'a pseudo-header after a field',
    headers: [
      ['a', 'b'],
      [':method', 'CONNECT'],
    ],
    want: 'malformed',
  },
  {
    name: 'an upper-case name',
    headers: [
      [':method', 'CONNECT'],
      ['Baggage', ''],
    ],
    want: 'malformed',
  },
  {
    name: 'a line break in a value',
    headers: [
      [':method', 'CONNECT'],
      ['baggage', 'a\r\nb'],
    ],
    want: 'malformed',
  },
];
for (const { name, headers, want } of cases) test(`${name} is ${want}`, () => assert.equal(readConnect(headers).kind, want));

const PEER = parseIp('10.0.0.7');
const forms: { header: string; port: number | null; host: string | null }[] = [
  { header: 'for="10.0.0.7:80"', port: 80, host: null },
  { header: 'for="10.0.0.7:65535";host=a.b.svc', port: 65_535, host: 'a.b.svc' },
  { header: 'for="10.0.0.7:65536";host=a.b.svc', port: null, host: 'a.b.svc' },
  { header: 'for="10.0.0.7:0";host=other.b.svc', port: null, host: 'other.b.svc' },
  { header: 'for="10.0.0.7:123456"', port: null, host: null },
  { header: 'for="10.0.0.7:"', port: null, host: null },
  { header: 'for="10.0.0.70:80"', port: null, host: null },
  { header: 'for="10.0.0.7:80', port: null, host: null },
  { header: 'for="10.0.0.7:80 "', port: null, host: null },
  { header: 'for="[::ffff:10.0.0.7]:80"', port: 80, host: null },
  { header: 'host=a.b.svc;for="10.0.0.7:81"', port: 81, host: 'a.b.svc' },
  { header: 'for="x;host=a.b.svc;"', port: null, host: 'a.b.svc' },
  { header: 'for="10.0.0.7:82";host=;HOST="q.svc"', port: 82, host: 'q.svc' },
];
for (const { header, port, host } of forms) {
  test(`what ${header} says of client and host, whatever was read before it`, () => {
    for (const before of ['for="1.2.3.4:5";host=before.svc', header]) {
      forwardedHost(before);
      assert.equal(forwardedHost(header), host);
    }
    assert.equal(forwardedClient(header, PEER)?.port ?? null, port);
  });
}
