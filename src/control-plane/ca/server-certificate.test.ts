import assert from 'node:assert/strict';
import test from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ServerCertificate } from './authority.ts';
import { dialledAddress, keepServerCertificate, serverNames } from './server-certificate.ts';

const HOUR_MS = 3_600_000;

const names: { name: string; told: string[]; dnsNames: string[]; ips: string[] }[] = [
  {
    name: 'the machine itself and what a stock ztunnel dials',
    told: [],
    dnsNames: ['localhost', 'weft-control.istio-system.svc', 'istiod.istio-system.svc'],
    ips: ['127.0.0.1', '::1'],
  },
  {
    name: 'names and addresses that were told, each once',
    told: ['weft.example', '10.0.0.1', 'fd00::1', 'localhost'],
    dnsNames: ['weft.example', 'localhost', 'weft-control.istio-system.svc', 'istiod.istio-system.svc'],
    ips: ['10.0.0.1', 'fd00::1', '127.0.0.1', '::1'],
  },
  {
    name: 'not the address that stands for all',
    told: ['0.0.0.0', '::'],
    dnsNames: ['localhost', 'weft-control.istio-system.svc', 'istiod.istio-system.svc'],
    ips: ['127.0.0.1', '::1'],
  },
];
for (const { name, told, dnsNames, ips } of names) {
  test(`the server's certificate is good for ${name}`, () =>
    assert.deepEqual(serverNames(told, 'istio-system'), { dnsNames, ips }));
}

const addresses: { told: string[]; want: string }[] = [
  { told: [], want: '0.0.0.0:15012' },
  { told: ['weft.example', '10.0.0.1'], want: 'weft.example:15012' },
  { told: ['fd00::1'], want: '[fd00::1]:15012' },
];
for (const { told, want } of addresses) {
  test(`an agent is told to dial ${want}`, () => assert.equal(dialledAddress(told, '0.0.0.0:15012'), want));
}

test('the port that is listened on is found behind an IPv6 address, too', () =>
  assert.equal(dialledAddress(['weft.example'], '[::]:15012'), 'weft.example:15012'));

/** A server's certificate that lasts a day, kept with a clock that stands; each is numbered by its chain. */
function keeping({ failing = () => false }: { failing?: () => boolean } = {}) {
  const clock = new SteppedClock();
  let made = 0;
  const make = (): ServerCertificate => ({
    chainPem: String(made++),
    privateKeyPem: '',
    notBeforeMs: clock.nowMs(),
    notAfterMs: clock.nowMs() + 24 * HOUR_MS,
  });
  const replaced: string[] = [];
  const asked: number[] = [];
  const startMs = clock.nowMs();
  const cancel = keepServerCertificate({
    first: make(),
    async issue() {
      asked.push((clock.nowMs() - startMs) / HOUR_MS);
      if (failing()) throw new Error('the signer is locked');
      return make();
    },
    replace: ({ chainPem }) => replaced.push(chainPem),
    clock,
    random: () => 0,
    log: SILENT_LOG,
  });
  const advance = async (ms: number) => {
    clock.advance(ms);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  return { clock, replaced, asked, advance, cancel };
}

test('B58: a certificate is renewed at half of its life, and its successor likewise', async () => {
  const { replaced, asked, advance } = keeping();
  await advance(12 * HOUR_MS - 1);
  assert.deepEqual(replaced, []);
  await advance(1);
  assert.deepEqual(replaced, ['1']);
  await advance(12 * HOUR_MS);
  assert.deepEqual(
    [replaced, asked],
    [
      ['1', '2'],
      [12, 24],
    ],
  );
});

test('B58: after the clock was set back by more than clocks differ, the server has another certificate within moments', async () => {
  const { clock, replaced, asked, advance } = keeping();
  clock.set(-30_000);
  await advance(HOUR_MS / 60);
  assert.deepEqual(replaced, []);
  clock.set(-HOUR_MS);
  await advance(CERTIFICATE.clockLookMs);
  assert.deepEqual(replaced, ['1']);
  await advance(HOUR_MS);
  assert.deepEqual([replaced, asked.length], [['1'], 1]);
});

test('F10: a renewal that failed is tried again after a second, later and later, until one succeeds', async () => {
  let broken = true;
  const { replaced, asked, advance } = keeping({ failing: () => broken });
  await advance(12 * HOUR_MS);
  await advance(1_200);
  assert.deepEqual([replaced, asked.length], [[], 2]);
  await advance(2_400);
  assert.equal(asked.length, 3);
  broken = false;
  await advance(3_000);
  assert.deepEqual([replaced, asked.length], [[], 3], 'not before its time');
  await advance(1_800);
  assert.deepEqual(replaced, ['1']);
});

test('a server that ended is given no certificate any more, not even one that is on its way', async () => {
  const { clock, replaced, asked, advance, cancel } = keeping();
  clock.advance(12 * HOUR_MS);
  assert.equal(asked.length, 1, 'it is on its way');
  cancel();
  await advance(24 * HOUR_MS);
  assert.deepEqual([replaced, asked.length, clock.pendingMs()], [[], 1, []]);
});

test('cancelled before its time, nothing is asked for', async () => {
  const { asked, clock, advance, cancel } = keeping();
  cancel();
  await advance(48 * HOUR_MS);
  assert.deepEqual([asked, clock.pendingMs()], [[], []]);
});
