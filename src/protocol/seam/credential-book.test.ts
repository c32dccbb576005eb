import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Credentials } from '#model/identity/identity.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { AGENT } from '#model/settings/agents.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { CommonToControl } from './common-messages.ts';
import { CredentialBook } from './credential-book.ts';

const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');

function setUp() {
  const heard: CommonToControl[] = [];
  const clock = new SteppedClock();
  const book = new CredentialBook({ send: (message) => void heard.push(message) }, clock);
  const take = (credentials: Credentials | null): void =>
    book.take({ kind: 'credentials', identity: WEB, credentials, error: 'none of it' });
  return { heard, clock, book, take };
}

const certificate = (chainPem: string, notAfterMs = Number.MAX_SAFE_INTEGER): Credentials => ({
  ...{ identity: WEB, privateKeyPem: '', chainPem, rootsPem: [] },
  ...{ notBeforeMs: 0, notAfterMs },
});

test('a certificate is asked for once for all who wait, and is at hand from then on until it expires', async () => {
  const { heard, clock, book, take } = setUp();
  const waiting = [book.get(WEB), book.get(WEB)];
  assert.deepEqual([heard.length, book.current(WEB)], [1, null]);
  const first = certificate('first', clock.nowMs() + 1_000);
  take(first);
  assert.deepEqual(await Promise.all(waiting), [first, first]);
  assert.equal(book.current({ ...WEB }), first);
  take({ ...first });
  assert.equal(book.current(WEB), first, 'the same one again is no renewal');
  const second = certificate('second', clock.nowMs() + 2_000);
  take(second);
  assert.equal(book.current(WEB), second);
  clock.advance(2_000);
  assert.equal(book.current(WEB), null);
});

test('B58: after the clock was set back control is asked again, and what it has then is used', () => {
  const { clock, book, take } = setUp();
  const first = { ...certificate('first'), notBeforeMs: clock.nowMs() };
  take(first);
  clock.set(-1_000);
  assert.equal(book.current(WEB), null);
  take({ ...first }); // there is no other
  assert.equal(book.current(WEB), first);
});

test('without a certificate, or without an answer in time, those who wait hear why; what lapsed is not used again', async () => {
  const { clock, book, take } = setUp();
  const refused = assert.rejects(book.get(WEB), /none of it/);
  take(null);
  await refused;
  const late = assert.rejects(book.get(WEB), /too busy/);
  clock.advance(AGENT.answerDeadlineMs);
  await late;
  take(certificate('first'));
  book.lapse(WEB);
  assert.equal(book.current(WEB), null);
});
