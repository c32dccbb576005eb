import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { healthPages, type PageParts } from './pages.ts';

/** The answers of an agent in some state. */
async function answers({ synced = true, held = 0, settles = true } = {}): Promise<(readonly [number, string])[]> {
  const clock = new SteppedClock();
  const settled = (): Promise<void> => (settles ? Promise.resolve() : new Promise(() => {}));
  const parts = { agent: { synced, carriers: { settled } }, local: { isReady: () => held === 0 }, clock } as unknown as PageParts;
  const pages = [...healthPages(parts).values()].map((page) => Promise.resolve(page()));
  if (!settles) clock.advance(60_000);
  return (await Promise.all(pages)).map(({ status = 200, body }) => [status, body.trim()]);
}

test('B52: not ready before the mesh is known, nor while a workload of a former agent is not enrolled again', async () => {
  assert.deepEqual(await answers(), [
    [200, 'ready'],
    [200, 'live'],
  ]);
  const [unsynced] = await answers({ synced: false });
  assert.deepEqual(unsynced, [500, 'not ready, pending: state manager']);
  const [both] = await answers({ synced: false, held: 1 });
  assert.deepEqual(both, [500, 'not ready, pending: state manager, workload proxy manager']);
});

test('B52: a thread that does not answer is told as not alive', async () => {
  assert.deepEqual((await answers({ settles: false }))[1]?.[0], 500);
});
