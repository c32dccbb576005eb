import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { Command, Option } from 'commander';
import { makeCommand } from '../command.ts';
import { commandShape } from './command-shape.ts';
import { completions } from './completions.ts';
import { manualPages } from './man-page.ts';

/** A program with one of everything that a shell can be asked for. */
function aProgram(): Command {
  const program = new Command('weft').exitOverride();
  const run = makeCommand('run', 'Mesh:', 'Run it', [{ command: 'weft run -- true', does: "don't ask" }])
    .argument('<command...>')
    .option('--name <name>', 'its name')
    .option('--user <user[:group]>', 'who');
  const show = makeCommand('show', 'Mesh:', 'Show: [it]', [])
    .addOption(new Option('-o, --output <format>', "how it's shown").choices(['table', 'json']).default('table'))
    .option('--run-dir <dir>', 'where')
    .option('--json <file>', 'to')
    .addOption(new Option('--secret', 'for tests').hideHelp());
  const stop = makeCommand('stop', 'Mesh:', 'Stop it', []).argument('<name...>');
  const lab = makeCommand('lab', 'Mesh:', 'A lab', []);
  lab.addCommand(makeCommand('up', 'Mesh:', 'Start a lab', []).argument('<dir>').option('--nodes <count>', 'how many'));
  return program.addCommand(run).addCommand(show).addCommand(stop).addCommand(lab);
}

let dir = '';
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'weft-shells-'));
  for (const [name, text] of completions(commandShape(aProgram()))) writeFileSync(join(dir, name), text);
  // The program itself, which the scripts ask for the workloads that run.
  writeFileSync(join(dir, 'weft'), '#!/bin/sh\n[ "$1" = ps ] && printf "NAME NODE\\nweb alpha\\nworker alpha\\n"\n', {
    mode: 0o755,
  });
  writeFileSync(join(dir, 'notes.yaml'), '');
});
after(() => rmSync(dir, { recursive: true, force: true }));

const environment = () => ({ PATH: `${dir}:${process.env.PATH}`, HOME: dir, TERM: 'dumb', LANG: 'C.UTF-8' });

/** What bash itself proposes for the last of these words. */
function byBash(words: readonly string[]): string[] {
  const script = `source ${dir}/weft.bash; cd ${dir}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weft; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return lines(execFileSync('bash', ['--norc', '-c', script, 'bash', ...words], { encoding: 'utf8', env: environment() }));
}

/** The same for fish, without its descriptions. */
function byFish(words: readonly string[]): string[] {
  const script = `source ${dir}/weft.fish; cd ${dir}; complete -C '${words.join(' ')}'`;
  const text = execFileSync('fish', ['--private', '--no-config', '-c', script], { encoding: 'utf8', env: environment() });
  return lines(text).map((line) => line.split('\t')[0] ?? '');
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

const found = (shell: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${shell}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const CASES: readonly [words: readonly string[], proposed: readonly string[]][] = [
  [
    ['weft', 's'],
    ['show', 'stop'],
  ],
  [['weft', 'lab', ''], ['up']],
  [['weft', 'run', '--na'], ['--name']],
  [['weft', 'run', '--name', ''], []],
  [
    ['weft', 'show', '--output', ''],
    ['json', 'table'],
  ],
  [['weft', 'show', '-o', 'j'], ['json']],
  [['weft', 'show', '--sec'], []],
  [
    ['weft', 'stop', ''],
    ['web', 'worker'],
  ],
  [['weft', 'stop', 'web', 'wo'], ['worker']],
  [['weft', 'lab', 'up', '--no'], ['--nodes']],
  [['weft', 'show', '--json', 'not'], ['notes.yaml']],
  [['weft', 'run', '--name', 'a', '--', 'unexpan'], ['unexpand']],
  [['weft', 'run', '--name', 'a', '--', 'cat', 'notes.ya'], ['notes.yaml']],
];

for (const [words, proposed] of CASES) {
  test(`bash proposes ${proposed.join(', ') || 'nothing'} after "${words.join(' ')}"`, () => {
    assert.deepEqual([...new Set(byBash(words))].sort(), proposed); // a program may lie in two folders of PATH
  });
  test(`fish proposes the same after "${words.join(' ')}"`, { skip: found('fish') ? false : 'fish is not installed' }, () => {
    assert.deepEqual(byFish(words).sort(), proposed);
  });
}

test('bash knows a value that is written with =', () => {
  assert.deepEqual(byBash(['weft', 'show', '--output', '=', 'ta']), ['table']);
  assert.deepEqual(byBash(['weft', 'show', '--output', '=']).sort(), ['json', 'table']);
});

test('zsh proposes commands with their sentences, options, choices and workloads', {
  skip: found('zsh') ? false : 'zsh is not installed',
}, () => {
  const typed = (line: string, expected: string): string =>
    `zpty -w -n z ${`$'${line}\\t'`}; zpty -r -m z out '*${expected}*' || exit 1; zpty -w -n z $'\\x15'`;
  const script = `
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z "PS1=; fpath=(${dir} \\$fpath); autoload -Uz compinit; compinit -u -D; setopt autolist nobeep; print rea''dy"
    zpty -r -m z out '*ready*' || exit 1
    ${typed('weft s', 'show*Show: ?it?*stop*Stop it')}
    ${typed('weft run --n', '--name')}
    ${typed('weft show -o ', 'json*table')}
    ${typed('weft stop w', 'web*worker')}
    zpty -d z
    print fine`;
  const printed = execFileSync('zsh', ['-f', '-c', script], { encoding: 'utf8', env: environment(), timeout: 20_000 });
  assert.match(printed, /fine/);
});

test('the manual has a page for the program and for each command, with its options and examples', () => {
  const pages = manualPages(commandShape(aProgram()), { exitCodes: [{ name: '0', meaning: 'it is done' }], variables: [] });
  assert.deepEqual([...pages.keys()], ['weft.1', 'weft-run.1', 'weft-show.1', 'weft-stop.1', 'weft-lab.1']);
  assert.match(pages.get('weft-run.1') ?? '', /^\\fB\\-\\-user\\fR \\fIuser\[:group\]\\fR\nWho\.$/m);
  assert.match(pages.get('weft-run.1') ?? '', /^Don't ask:$/m);
  assert.match(pages.get('weft-lab.1') ?? '', /^\.SH WEFT LAB UP$/m);
  assert.doesNotMatch(pages.get('weft-show.1') ?? '', /secret/);
});
