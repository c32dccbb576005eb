import assert from 'node:assert/strict';
import test from 'node:test';
import { decode, encode, type OptAnswer, RECURSION_DESIRED } from 'dns-packet';
import fc from 'fast-check';
import { bytesToIp, type IpAddress, parseIp } from '#model/address/ip.ts';
import { decodeQuery, type QueryEcho } from '#protocol/dns/query.ts';
import { encodeAnswer, encodeFailure, fitReply } from '#protocol/dns/reply.ts';
import { RCODE } from '#protocol/dns/wire.ts';

function echoFor(name: string, type: 'A' | 'AAAA' = 'A', udpPayloadSize: number | null = null): QueryEcho {
  const option = { type: 'OPT', name: '.', extendedRcode: 0, ednsVersion: 0, flags: 0x8000, flag_do: true, options: [] } as const;
  const bytes = encode({
    type: 'query',
    id: 0x1234,
    flags: RECURSION_DESIRED,
    questions: [{ type, name, class: 'IN' }],
    additionals: udpPayloadSize === null ? [] : [{ ...option, udpPayloadSize, options: [] }],
  });
  const decoded = decodeQuery(bytes);
  assert.ok(decoded.kind === 'query');
  return decoded.query.echo;
}

const addresses = (count: number): IpAddress[] =>
  Array.from({ length: count }, (_, at) => parseIp(`10.0.${at >> 8}.${at & 255}`));
const textOf = (reply: Buffer) =>
  (decode(reply).answers ?? []).map((record) => `${record.name} ${record.type} ${'data' in record ? record.data : ''}`);

test('B61: an answer repeats id and question, sets AA, RA and RD, and has TTL 30', () => {
  const reply = encodeAnswer(echoFor('Reviews.shop'), { aliases: [], addresses: [parseIp('10.0.0.1')], ttlSeconds: 30 }, 512);
  const packet = decode(reply);
  assert.deepEqual(
    [packet.id, packet.type, packet.flag_aa, packet.flag_ra, packet.flag_rd, packet.flag_tc],
    [0x1234, 'response', true, true, true, false],
  );
  assert.equal(packet.questions?.[0]?.name, 'Reviews.shop');
  assert.deepEqual(packet.answers, [{ name: 'Reviews.shop', type: 'A', ttl: 30, class: 'IN', flush: false, data: '10.0.0.1' }]);
});

test('B62: a CNAME comes first and the addresses go on its target', () => {
  const records = { aliases: ['example.com'], addresses: [parseIp('fd00::1')], ttlSeconds: 30 };
  const reply = encodeAnswer(echoFor('example.com.shop.svc.cluster.local', 'AAAA'), records, 512);
  assert.deepEqual(textOf(reply), ['example.com.shop.svc.cluster.local CNAME example.com', 'example.com AAAA fd00::1']);
});

test('an answer without records is NOERROR and authoritative', () => {
  const packet = decode(encodeAnswer(echoFor('reviews'), { aliases: [], addresses: [], ttlSeconds: 30 }, 512));
  assert.deepEqual([packet.flag_aa, packet.answers?.length], [true, 0]);
  assert.equal(Reflect.get(packet, 'rcode'), 'NOERROR');
});

test('what does not fit over UDP is left out with TC set', () => {
  const reply = encodeAnswer(echoFor('reviews.shop'), { aliases: [], addresses: addresses(100), ttlSeconds: 30 }, 512);
  assert.ok(reply.length <= 512 && reply.length > 512 - 16);
  assert.equal(decode(reply).flag_tc, true);
});

test('thirty endpoints fit into 512 bytes', () => {
  const reply = encodeAnswer(echoFor('reviews.shop'), { aliases: [], addresses: addresses(30), ttlSeconds: 30 }, 512);
  assert.equal(decode(reply).flag_tc, false);
});

test('a query with EDNS gets an OPT record that repeats DO; one without gets none', () => {
  const withOption = decode(encodeFailure(echoFor('a.b', 'A', 1_232), RCODE.servFail));
  const option = withOption.additionals?.[0] as OptAnswer | undefined;
  assert.deepEqual([option?.type, option?.udpPayloadSize, option?.flag_do], ['OPT', 4_096, true]);
  assert.equal(decode(encodeFailure(echoFor('a.b'), RCODE.servFail)).additionals?.length, 0);
});

test('BADVERS is spread over header and OPT record', () => {
  const packet = decode(encodeFailure(echoFor('a.b', 'A', 512), RCODE.badVers));
  const option = packet.additionals?.[0] as OptAnswer | undefined;
  assert.deepEqual([Reflect.get(packet, 'rcode'), option?.extendedRcode], ['NOERROR', 1]);
});

test('a forwarded reply that is too long is emptied, with TC and its code kept', () => {
  const echo = echoFor('a.b');
  const long = encodeAnswer(echo, { aliases: [], addresses: addresses(100), ttlSeconds: 5 }, 65_535);
  const packet = decode(fitReply(echo, long, 512));
  assert.deepEqual([packet.flag_tc, packet.answers?.length, packet.id], [true, 0, 0x1234]);
  assert.equal(fitReply(echo, long, 4_096), long);
});

test('an independent decoder reads back every answer, within every limit', () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'));
  const ip = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(bytesToIp);
  const edns = fc.option(fc.integer({ min: 512, max: 4_096 }));
  fc.assert(
    fc.property(name, fc.option(name), fc.array(ip, { maxLength: 60 }), edns, (asked, cname, ips, payloadBytes) => {
      const echo = echoFor(asked, 'A', payloadBytes);
      const reply = encodeAnswer(
        echo,
        { aliases: cname === null ? [] : [cname], addresses: ips, ttlSeconds: 30 },
        echo.udpBytesMax,
      );
      assert.ok(reply.length <= echo.udpBytesMax);
      const expected = [
        ...(cname === null ? [] : [`${asked} CNAME ${cname}`]),
        ...ips.map((data) => `${cname ?? asked} A ${data}`),
      ];
      const got = textOf(reply);
      assert.deepEqual(got, expected.slice(0, got.length));
      assert.equal(decode(reply).flag_tc, got.length < expected.length);
    }),
  );
});
