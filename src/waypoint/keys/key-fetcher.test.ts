import assert from 'node:assert/strict';
import test from 'node:test';
import type { Log } from '#model/effects/log.ts';
import { JWT } from '#model/settings/jwt.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { FetchedKeySet, JwtRule, KeySource } from '#model/waypoint/jwt.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { configOf } from '#waypoint/waypoint-rig.testing.ts';
import { KeyFetcher } from './key-fetcher.ts';

const A: KeySource = { kind: 'jwks', url: 'https://a/keys?secret', timeoutMs: 1 };
const B: KeySource = { ...A, url: 'https://b/keys' };

function config(...sources: KeySource[]): WaypointConfig {
  const whole = configOf({});
  const rule = { issuer: 'a', audiences: [], jwks: null, locations: [], forward: false, payloadHeader: '' };
  const authentication = sources.map((jwksFrom): JwtRule => ({ ...rule, claimHeaders: [], spaceDelimitedClaims: [], jwksFrom }));
  return { ...whole, services: whole.services.map((service) => ({ ...service, authentication })) };
}

/** A fetcher whose fetches end when the test says so. */
function rig() {
  const clock = new SteppedClock();
  const told: string[] = [];
  const lines: string[] = [];
  const pending: PromiseWithResolvers<FetchedKeySet>[] = [];
  const write = (fields: object, message: string): void => void lines.push(`${JSON.stringify(fields)} ${message}`);
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  const fetcher = new KeyFetcher({
    fetchKeys() {
      const one = Promise.withResolvers<FetchedKeySet>();
      pending.push(one);
      return one.promise;
    },
    tell: ({ source, jwks }) => void told.push(`${source.url.slice(8, 9)} ${jwks}`),
    ...{ clock, log, random: () => 0.5, meters: new Meters('waypoint') },
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    ...{ clock, told, lines, fetcher, pending },
    /** The last fetch, which is the only one under way. */
    async answer(jwks: string, freshMs: number | null = null) {
      pending.at(-1)?.resolve({ jwks, freshMs });
      await turn();
    },
    async fail() {
      pending.at(-1)?.reject(new Error('away'));
      await turn();
    },
  };
}

test('W64 keys are fetched when they are needed, and again in time: earlier if their server says so, never too often', async () => {
  const { fetcher, clock, told, pending, answer } = rig();
  fetcher.configured(config(A, A));
  await answer('one');
  assert.deepEqual([told, pending.length], [['a one'], 1]);
  clock.advance(JWT.refreshMs - 1);
  assert.equal(pending.length, 1);
  clock.advance(1);
  await answer('two', 0);
  clock.advance(JWT.refreshMinMs - 1);
  assert.equal(pending.length, 2);
  clock.advance(1);
  await answer('three', 3_600_000_000);
  clock.advance(JWT.refreshMs);
  assert.deepEqual([told, pending.length], [['a one', 'a two', 'a three'], 4]);
});

test('W64 a fetch that fails leaves what is known, for a day; where nothing is known there is nothing', async () => {
  const { fetcher, clock, told, pending, answer, fail } = rig();
  fetcher.configured(config(A));
  await fail();
  clock.advance(JWT.fetchRetryMs);
  await fail();
  assert.deepEqual([told, pending.length], [['a null', 'a null'], 2]);
  clock.advance(2 * JWT.fetchRetryMs);
  await answer('one');
  clock.advance(JWT.refreshMs);
  await fail();
  assert.equal(told.at(-1), 'a one');
  clock.advance(JWT.keysKeptMs);
  for (let retry = 0; told.at(-1) !== 'a null' && retry < 3; retry++) {
    await fail();
    clock.advance(JWT.fetchRetryMaxMs);
  }
  assert.equal(told.at(-1), 'a null');
});

test('W64 an unknown key has its issuer asked at once, and then not again for a while', async () => {
  const { fetcher, clock, told, pending, answer } = rig();
  fetcher.configured(config(A));
  fetcher.wanted(A); // its first fetch is under way: the end of that one is the answer
  assert.deepEqual([told, pending.length], [[], 1]);
  await answer('one');
  for (let request = 0; request < 100; request++) fetcher.wanted(A);
  assert.deepEqual([told.length, pending.length], [101, 1]);
  clock.advance(JWT.unknownKeyPauseMs);
  fetcher.wanted(A);
  fetcher.wanted(A);
  assert.deepEqual([told.length, pending.length], [101, 2]);
  await answer('two');
  assert.equal(told.at(-1), 'a two');
});

test('W64 what is not needed any more is forgotten, also what comes after all; who wants it hears that there is none', async () => {
  const { fetcher, clock, told, pending, answer } = rig();
  fetcher.configured(config(A));
  fetcher.configured(config(B));
  pending[0]?.resolve({ jwks: 'late', freshMs: null });
  await answer('b');
  fetcher.wanted(A);
  assert.deepEqual(told, ['a null', 'b b', 'a null']);
  fetcher.configured(null);
  assert.equal(told.at(-1), 'b null');
  clock.advance(10 * JWT.refreshMs);
  assert.equal(pending.length, 2);
});

test('the log says from where, without what may be secret, and how many places are too many', async () => {
  const { fetcher, lines, fail } = rig();
  fetcher.configured(config(A));
  await fail();
  assert.ok(lines.some((line) => line.includes('"from":"https://a/keys"') && line.includes('no token of theirs is valid')));
  const many = Array.from({ length: JWT.sourcesMax + 1 }, (_, at): KeySource => ({ ...A, url: `https://a/${at}?secret` }));
  fetcher.configured(config(...many));
  assert.ok(lines.some((line) => line.includes('are the most')));
  assert.ok(!lines.some((line) => line.includes('secret')));
});
