import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { ConfFile } from '#model/network-chain/conf-list.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { ChainKeeper } from './chain-keeper.ts';

const BARE = '{"name":"n","plugins":[{"type":"ptp"}]}';
const CHAINED = '{"name":"n","plugins":[{"type":"ptp"},{"type":"weft-cni"}]}';

/** A node with one network in memory. */
function setUp(text = BARE) {
  const clock = new SteppedClock();
  const node = {
    files: [{ name: '10-n.conflist', text }] as ConfFile[],
    writes: 0,
    meanwhile: null as string | null,
    dropIn: null as string | null,
  };
  let changed = (): void => {};
  const keeper = new ChainKeeper({
    read: async () => node.files.map((file) => ({ ...file })),
    async rewrite({ name, text: before }, after) {
      const file = node.files.find((one) => one.name === name);
      if (file === undefined) throw new Error('ENOENT');
      if (node.meanwhile !== null) file.text = node.meanwhile;
      node.meanwhile = null;
      if (file.text !== before) return false;
      file.text = after;
      node.writes++;
      return true;
    },
    async dropIn(network, text) {
      if (network === 'closed') throw new Error('EROFS');
      node.dropIn = network === null ? null : `${network} ${text}`;
    },
    watch(told) {
      changed = told;
      return () => {
        changed = () => {};
      };
    },
    ...{ clock, random: UNSPREAD, log: SILENT_LOG },
  });
  /** Another program writes the file. */
  const write = async (now = BARE): Promise<void> => {
    node.files = [{ name: '10-n.conflist', text: now }];
    changed();
    await settle();
  };
  const textNow = (): string | undefined => node.files[0]?.text;
  return { clock, node, keeper, write, textNow };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('K1, K2: the plugin is put into the chain, and back whenever somebody takes it out', async () => {
  const { keeper, write, textNow, node } = setUp();
  await keeper.keep();
  assert.deepEqual([textNow(), keeper.problem], [CHAINED, null]);
  await write();
  assert.equal(textNow(), CHAINED);
  await write(CHAINED);
  assert.equal(node.writes, 2, 'where it is there nothing is written');
});

test('what somebody writes at the same moment is not overwritten', async () => {
  const { keeper, node, textNow, clock } = setUp();
  node.meanwhile = BARE.replace('"n"', '"other"');
  await keeper.keep();
  clock.advance(0);
  await settle();
  assert.equal(textNow(), CHAINED.replace('"n"', '"other"'));
});

test('K7: one that takes it out all the time is told of, and costs some writes a second; the chain heals when it stops', async () => {
  const { keeper, write, textNow, node, clock } = setUp();
  await keeper.keep();
  for (let time = 0; time < AGENT.cniWritesMax * 3; time++) await write();
  assert.equal(node.writes, AGENT.cniWritesMax);
  assert.match(keeper.problem ?? '', /another program writes 10-n.conflist again and again/);
  clock.advance(AGENT.cniWritesWithinMs);
  await settle();
  assert.equal(textNow(), CHAINED);
  clock.advance(AGENT.cniLookMs);
  await settle();
  assert.equal(keeper.problem, null);
});

test('one that writes once a second is answered each time', async () => {
  const { keeper, write, textNow, clock } = setUp();
  await keeper.keep();
  for (let second = 0; second < 60; second++) {
    clock.advance(1_000);
    await write();
    assert.equal(textNow(), CHAINED);
  }
});

test('K9: a file that cannot be chained is told of, and no other is taken in its place', async () => {
  const { keeper, node, textNow, write } = setUp();
  node.files.unshift({ name: '00-x.json', text: '{}' });
  await keeper.keep();
  assert.match(keeper.problem ?? '', /00-x.json/);
  assert.equal(node.files[1]?.text, BARE);
  await write();
  assert.deepEqual([textNow(), keeper.problem], [CHAINED, null]);
});

test('K46: who leaves takes the plugin out of every file and looks no more; who only ends lets it stay', async () => {
  const { keeper, write, textNow, node } = setUp();
  await keeper.keep();
  node.files.push({ name: '20-former.conflist', text: CHAINED });
  await keeper.leave();
  assert.deepEqual(
    node.files.map(({ text }) => text),
    [BARE, BARE],
  );
  await write();
  assert.equal(textNow(), BARE);
  const other = setUp();
  await other.keeper.keep();
  other.keeper.close();
  assert.equal(other.textNow(), CHAINED);
});

test('K3, K5: beside the file that counts there is one of our own, by the name of its network, and none when the plugin leaves', async () => {
  const { keeper, write, node } = setUp();
  await keeper.keep();
  assert.equal(node.dropIn, 'n {"type":"weft-cni"}');
  await write('{"name":"other","plugins":[{"type":"ptp"}]}');
  assert.equal(node.dropIn, 'other {"type":"weft-cni"}');
  await write('{"name":"../up","plugins":[{"type":"ptp"}]}');
  assert.equal(node.dropIn, null, 'that is no name of a folder');
  await write();
  await keeper.leave();
  assert.equal(node.dropIn, null);
});

test('where a file of our own cannot be had the plugin is in the chain all the same', async () => {
  const { keeper, textNow } = setUp('{"name":"closed","plugins":[{"type":"ptp"}]}');
  await keeper.keep();
  assert.deepEqual([textNow(), keeper.problem], ['{"name":"closed","plugins":[{"type":"ptp"},{"type":"weft-cni"}]}', null]);
});
