import assert from 'node:assert/strict';
import test from 'node:test';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { IDLE_ACTIONS } from '../../test/structure/cli-page.ts';
import { formatData } from './command.ts';
import { buildProgram } from './program.ts';

/** Commands whose result programs read, with the forms for people, the usual one first. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  ps: ['table', 'wide'],
  status: ['table', 'wide'],
  check: ['table'],
  'log-level': ['table'],
  describe: ['text'],
  validate: ['text'],
  apply: ['text'],
  delete: ['text'],
  get: ['table'],
  version: ['text'],
  token: ['text'],
  ca: ['text'],
  'lab status': ['text'],
};

/** The others, with what they print. */
const OTHERS: Readonly<Record<string, string>> = {
  up: 'what it does, until it ends',
  control: 'a log, until it ends',
  agent: 'a log, until it ends',
  waypoint: 'a log, until it ends',
  run: 'what the command prints',
  exec: 'what the command prints',
  'lab run': 'what the command prints',
  'lab outside': 'what the command prints',
  logs: 'what others have printed',
  'lab logs': 'what others have printed',
  diff: 'what diff -u prints',
  stop: 'what it has ended',
  drain: 'what it has told',
  install: 'what it has made ready',
  upgrade: 'what it has made ready',
  uninstall: 'what it has removed',
  'bug-report': 'the name of a file',
  help: 'help',
  lab: 'help',
  'lab up': 'what it does; --json for programs',
  'lab down': 'what it has removed',
  'lab restart': 'what it has started again',
  'lab capture': 'nothing: a file gets it',
  demo: 'what it does; --json for programs',
  bench: 'what it measures; --json for programs',
};

function commandsBelow(command: Command, above = ''): [string, Command][] {
  return command.commands.flatMap((below): [string, Command][] => {
    const name = `${above}${below.name()}`;
    return [[name, below], ...commandsBelow(below, `${name} `)];
  });
}

const program = buildProgram(IDLE_ACTIONS, { out() {}, err() {}, columns: 100 }, () => {});
const commands = new Map(commandsBelow(program));

test('H11: of each command it is said whether programs read its result', () => {
  const said = [...Object.keys(SHOWN), ...Object.keys(OTHERS)].sort();
  assert.deepEqual([...commands.keys(), 'help'].sort(), said);
});

for (const [name, forms] of Object.entries(SHOWN)) {
  test(`H11: weft ${name} has -o with ${forms.join(', ')}, json and yaml, and the first is what it prints without`, () => {
    const option = commands.get(name)?.options.find(({ long }) => long === '--output');
    assert.equal(option?.short, '-o');
    assert.deepEqual(option.argChoices, [...forms, 'json', 'yaml']);
    assert.equal(option.defaultValue, forms[0]);
  });
}

test('H11: -o is what says how something is printed, and nothing else', () => {
  for (const [name, { options }] of commands)
    if (!(name in SHOWN)) assert.ok(!options.some(({ short, long }) => short === '-o' || long === '--output'), name);
});

test('H11: json and yaml say the same, and end their last line', async () => {
  const value = { text: 'a: b\n"c"', none: null, list: [1, { deep: true }], empty: [] };
  const [json, yaml] = [await formatData(value, 'json'), await formatData(value, 'yaml')];
  assert.deepEqual(JSON.parse(json), value);
  assert.deepEqual(parse(yaml), value);
  assert.ok(json.endsWith('}\n') && yaml.endsWith('\n'));
});
