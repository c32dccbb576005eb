import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Clock } from '#model/effects/clock.ts';
import { followResolvConf, parseResolvConf } from '#platform/dns-upstream/resolv-conf.ts';

const cases = [
  { name: 'nameservers in order', text: 'nameserver 192.0.2.1\nnameserver fd00::1\n', want: { servers: '192.0.2.1 fd00::1' } },
  {
    name: 'only the first three',
    text: [1, 2, 3, 4].map((n) => `nameserver 192.0.2.${n}`).join('\n'),
    want: { servers: '192.0.2.1 192.0.2.2 192.0.2.3' },
  },
  { name: 'a link-local one keeps its zone', text: 'nameserver fe80::1%eth0', want: { servers: 'fe80::1%eth0' } },
  {
    name: 'comments, tabs and carriage returns',
    text: '# nameserver 9.9.9.9\r\n\tnameserver\t192.0.2.1 ; mine\r\n',
    want: { servers: '192.0.2.1' },
  },
  {
    name: 'names and nonsense are skipped',
    text: 'nameserver dns.example\nnameserver\nsearch a b\nsortlist x',
    want: { servers: '' },
  },
  { name: 'options', text: 'options ndots:5 timeout:1 attempts:3 rotate', want: { servers: '', timeoutMs: 1_000, attempts: 3 } },
  {
    name: 'options out of range are brought into it',
    text: 'options timeout:0\noptions attempts:99',
    want: { servers: '', timeoutMs: 1_000, attempts: 5 },
  },
  { name: 'options without a number are skipped', text: 'options timeout: attempts:x', want: { servers: '' } },
];
for (const { name, text, want } of cases) {
  test(`resolv.conf: ${name}`, () => {
    const { nameservers, timeoutMs, attempts } = parseResolvConf(text);
    const servers = nameservers.map(({ address }) => address).join(' ');
    assert.deepEqual({ servers, timeoutMs, attempts }, { timeoutMs: 5_000, attempts: 2, ...want });
    assert.ok(nameservers.every(({ port }) => port === 53));
  });
}

test('a changed resolv.conf is noticed, but looked at only every 5 s', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-resolv-'));
  context.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'resolv.conf');
  let nowMs = 0;
  const clock: Clock = { nowMs: () => 0, monotonicMs: () => nowMs, after: () => () => {}, every: () => () => {} };
  const source = followResolvConf(path, clock);
  const servers = async () => (await source.current()).nameservers.map(({ address }) => address);
  assert.deepEqual(await servers(), []);
  await writeFile(path, 'nameserver 192.0.2.1\n');
  nowMs = 4_999;
  assert.deepEqual(await servers(), []);
  nowMs = 5_000;
  assert.deepEqual(await servers(), ['192.0.2.1']);
  await writeFile(path, 'nameserver 192.0.2.22\n');
  nowMs = 10_000;
  assert.deepEqual(await servers(), ['192.0.2.22']);
});
