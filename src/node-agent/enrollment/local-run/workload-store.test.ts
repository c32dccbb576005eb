import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { requestOf } from '#node-agent/agent-rig.testing.ts';
import { type StateFile, workloadStore } from './workload-store.ts';

const CART = requestOf(aWorkload('cart', ['10.0.0.1']));
const WEB = requestOf(aWorkload('web', ['10.0.0.2']));

/** A file in memory that can be full; `slow` holds writes back until it is called. */
function aFile(text: string | null = null) {
  const state = { text, full: false, writes: 0, waiting: [] as (() => void)[], slow: false };
  const file: StateFile = {
    path: '/run/weft/alpha/workloads.json',
    read: async () => state.text,
    replace: async (next) => {
      state.writes++;
      if (state.slow) await new Promise<void>((resolve) => state.waiting.push(resolve));
      if (state.full) throw new Error('ENOSPC');
      state.text = next;
    },
  };
  return { state, file };
}

test('what is saved is loaded by the next agent', async () => {
  const { file } = aFile();
  await workloadStore(file).save([CART, WEB]);
  assert.deepEqual(await workloadStore(file).load(), [CART, WEB]);
});

test('a node that never had a workload has no file, and that is no error', async () => {
  assert.deepEqual(await workloadStore(aFile().file).load(), []);
});

const damaged = [
  { name: 'half a file', text: '[{"uid": "k' },
  { name: 'no list', text: '{}' },
  { name: 'a list of something else', text: '[1]' },
  { name: 'a workload without an address list', text: JSON.stringify([{ ...CART, addresses: '10.0.0.1' }]) },
  { name: 'a workload without a namespace path', text: JSON.stringify([{ ...CART, netnsPath: undefined }]) },
];
for (const { name, text } of damaged) {
  test(`${name} is refused as a whole, with what to do`, async () => {
    await assert.rejects(workloadStore(aFile(text).file).load(), (error: Error & { code: string; remedy: string }) => {
      assert.equal(error.code, 'WEFT_STATE');
      assert.match(error.message, /damaged/);
      assert.match(error.remedy, /remove it/);
      return true;
    });
  });
}

test('a file that cannot be read is not taken for an empty one', async () => {
  const { file } = aFile();
  const store = workloadStore({ ...file, read: () => Promise.reject(new Error('EACCES')) });
  await assert.rejects(store.load(), { code: 'WEFT_STATE' });
});

test('saves do not overlap, so the last set is the one that stays', async () => {
  const { file, state } = aFile();
  state.slow = true;
  const store = workloadStore(file);
  const both = [store.save([CART]), store.save([CART, WEB])];
  for (let round = 0; round < 2; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(state.waiting.length, 1);
    state.waiting.pop()?.();
  }
  await Promise.all(both);
  assert.deepEqual([JSON.parse(state.text ?? '').length, state.writes], [2, 2]);
});

test('a full disk fails the save that met it; the next one is tried afresh', async () => {
  const { file, state } = aFile();
  const store = workloadStore(file);
  state.full = true;
  await assert.rejects(store.save([CART]), { code: 'WEFT_STATE' });
  state.full = false;
  await store.save([WEB]);
  assert.deepEqual(await store.load(), [WEB]);
});
