import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { type LogLevel, SharedLogLevel } from '#model/telemetry/log-level.ts';
import { changeLevels, formatLevels, type Teller } from './log-level.ts';

/** Parts that keep their level. */
function parts(...names: string[]): Teller[] {
  return names.map((name) => {
    const own = new SharedLogLevel('info');
    const setLevel = async (level: LogLevel) => {
      own.set(level);
      return own.get();
    };
    return { name, level: async () => own.get(), setLevel };
  });
}

const cases: { name: string; changes: { component: string | null; level: LogLevel }[]; levels: string }[] = [
  { name: 'nothing', changes: [], levels: 'info info info' },
  { name: 'all', changes: [{ component: null, level: 'debug' }], levels: 'debug debug debug' },
  { name: 'all of a kind', changes: [{ component: 'agent', level: 'warn' }], levels: 'info warn warn' },
  {
    name: 'one after all, as the last word counts',
    changes: [
      { component: null, level: 'silent' },
      { component: 'agent/two', level: 'error' },
    ],
    levels: 'silent silent error',
  },
];
for (const { name, changes, levels } of cases)
  test(`H18: of log levels change ${name}`, async () => {
    const told = await changeLevels(changes, parts('control', 'agent/one', 'agent/two'));
    assert.equal(told.map(({ level }) => level).join(' '), levels);
  });

test('H18: a part that is not there changes nothing; one that does not answer is told beside the others', async () => {
  const [control, agent] = parts('control', 'agent/one');
  assert.ok(control !== undefined && agent !== undefined);
  const wrong = [
    { component: 'control', level: 'debug' as const },
    { component: 'agent/on', level: 'debug' as const },
  ];
  await assert.rejects(changeLevels(wrong, [control, agent]), {
    code: 'WEFT_NO_COMPONENT',
    remedy: 'name one of control, agent/one',
  });
  assert.equal(await control.level(), 'info');
  await assert.rejects(changeLevels([], []), { code: 'WEFT_NOT_RUNNING' });
  const dead = { ...agent, level: () => Promise.reject(new WeftError('WEFT_NO_AGENT', 'the agent does not answer')) };
  assert.deepEqual((await formatLevels(await changeLevels([], [control, dead]), 'table')).split('\n'), [
    'COMPONENT  LEVEL',
    'control    info',
    'agent/one  does not answer: the agent does not answer',
    '',
  ]);
});

test('H18: threads of a process read the level that one of them was told', () => {
  const own = new SharedLogLevel('warn');
  const thread = new SharedLogLevel('info', own.memory);
  assert.equal(thread.get(), 'warn');
  own.set('debug');
  assert.deepEqual([thread.get(), thread.writes(0)], ['debug', true]);
});
