import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { type Former, type FoundNode, formerAgent, openedNode, whenCrowded } from './succession.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const NOBODY = new WeftError('WEFT_NO_AGENT', 'nobody answers');
const OLDER = new WeftError('WEFT_API_PATH', 'the agent has no GET /v1/handover');

const cases: [says: boolean | WeftError, replace: boolean, former: Former | null][] = [
  [false, true, 'serving'],
  [true, true, 'leaving'],
  [true, false, 'leaving'],
  [false, false, null],
  [NOBODY, true, null],
  [OLDER, true, 'serving'],
  [OLDER, false, null],
];

for (const [says, replace, former] of cases) {
  const title = says instanceof WeftError ? says.code : says ? 'told to stop' : 'running on';
  test(`F8: of an agent that is ${title}, ${replace ? 'to be replaced' : 'not to be replaced'}: ${former}`, async () => {
    const leaving = async (): Promise<boolean> => {
      if (says instanceof WeftError) throw says;
      return says;
    };
    assert.equal(await formerAgent({ leaving }, replace), former);
  });
}

test('F8: an agent that is there and does not answer as one is an error', async () => {
  const leaving = async (): Promise<never> => {
    throw new WeftError('WEFT_NOT_ROOT', 'only root may ask');
  };
  await assert.rejects(formerAgent({ leaving }, true), { code: 'WEFT_NOT_ROOT' });
});

const [NEW, KILLED, SERVED] = [
  { takesOver: false, isNew: true },
  { takesOver: false, isNew: false },
  { takesOver: true, isNew: false },
];
const starts: [what: string, found: FoundNode, adopted: boolean, guarded: boolean, steps: string, resumes: boolean][] = [
  ['a node that is new', NEW, false, false, 'prepare open', false],
  ['what a killed agent left whole', KILLED, true, true, 'open', true],
  ['what lacks a program', KILLED, true, false, 'open prepare', false],
  ['what another version left', KILLED, false, true, 'open prepare', false],
  ['what another agent serves', SERVED, true, true, 'open', true],
  ['what one of another version serves', SERVED, false, true, 'open', true],
];

for (const [what, found, adopted, guarded, steps, resumes] of starts)
  test(`F8: ${what}: ${steps}, and its workloads go on ${resumes ? 'at once' : 'when they were looked at'}`, async () => {
    const done: string[] = [];
    const prepare = async (): Promise<void> => void done.push('prepare');
    const open = () => {
      done.push('open');
      return { datapath: { adopted, guarded } };
    };
    const result = await openedNode(found, { prepare }, open);
    assert.deepEqual([done.join(' '), result.resumes], [steps, resumes]);
  });

test('K145: the oldest of four former agents ends early, one of three does not', async () => {
  const clock = new SteppedClock();
  let [newer, isOver] = [AGENT.formersMax - 1, false];
  whenCrowded({ clock, log: SILENT_LOG }, () => newer).then(() => {
    isOver = true;
  }, assert.fail);
  clock.advance(10 * AGENT.successorLookMs);
  await settle();
  assert.equal(isOver, false);
  newer++;
  clock.advance(AGENT.successorLookMs);
  await settle();
  assert.equal(isOver, true);
});

test('where they cannot be counted it goes on to its end, and that is told once', async () => {
  const clock = new SteppedClock();
  let [told, isOver] = [0, false];
  const log = { ...SILENT_LOG, warn: () => void told++ };
  whenCrowded({ clock, log }, () => {
    throw new Error('the directory is gone');
  }).then(() => {
    isOver = true;
  }, assert.fail);
  clock.advance(10 * AGENT.successorLookMs);
  await settle();
  assert.deepEqual([told, isOver], [1, false]);
});
