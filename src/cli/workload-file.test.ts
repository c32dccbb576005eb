import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withWorkloadFile } from './workload-file.ts';

const WEB = `
user: www-data
service-account: web
label: { app: web, tier: front }
env: [MODE=test, NAME]
memory: 512m
cpus: 0.5
detach: false
native-tunnel: true
command: [python3, -m, http.server, 8080, "two words", ""]
`;

const reading =
  (text: string) =>
  (path: string): string => {
    assert.equal(path, '/etc/weft/workloads/web.yaml');
    return text;
  };
const words = (line: readonly string[], text = WEB): Promise<string[]> => withWorkloadFile(line, reading(text));
const FILE = ['run', '--file', '/etc/weft/workloads/web.yaml'];
const OPTIONS = [
  ...['--user', 'www-data', '--service-account', 'web', '--label', 'app=web', '--label', 'tier=front'],
  ...['--env', 'MODE=test', '--env', 'NAME', '--memory', '512m', '--cpus', '0.5', '--native-tunnel'],
];
const COMMAND = ['--', 'python3', '-m', 'http.server', '8080', 'two words', ''];

test('H12: a workload file tells the options of weft run by their names, and its command word by word', async () => {
  assert.deepEqual(await words(FILE), ['run', ...OPTIONS, ...COMMAND]);
  assert.deepEqual(await words(['run', '--file=/etc/weft/workloads/web.yaml']), ['run', ...OPTIONS, ...COMMAND]);
});

test('H12: what the line says comes later, so it wins; so does its command', async () => {
  assert.deepEqual(await words([...FILE, '--name', 'web']), ['run', ...OPTIONS, '--name', 'web', ...COMMAND]);
  assert.deepEqual(await words([...FILE, '--', 'bash']), ['run', ...OPTIONS, '--', 'bash']);
});

test('H12: an option --file of the command itself, or of another command of weft, is none of ours', async () => {
  const never = (): string => assert.fail('no file is read');
  for (const line of [
    ['run', '--name', 'a', 'curl', '--file', 'x'],
    ['run', '--', '--file', 'x'],
    ['ps', '--file', 'x'],
    ['run'],
  ])
    assert.deepEqual(await withWorkloadFile(line, never), line);
});

const faults: [string, string, RegExp][] = [
  ['no YAML', '{', /cannot read/],
  ['a list', '[a]', /holds no keys/],
  ['nothing', '', /holds no keys/],
  ['no command', 'user: a', /"command" is no list/],
  ['a command as one text', 'command: bash -c x', /"command" is no list/],
  ['an option that is none', 'command: [a]\nuser name: b', /"user name" is not the name/],
  ['an option that would end the options', 'command: [a]\n"-": b', /"-" is not the name/],
  ['a value that is deep', 'command: [a]\nlabel: { a: { b: c } }', /"label" is neither/],
  ['values that grow by being repeated', 'a: &a [x]\nb: *a\ncommand: [c]', /cannot read/],
  ['far too much', `command: [a]\nuser: ${'b'.repeat(70_000)}`, /64 KiB/],
];
for (const [name, text, message] of faults)
  test(`H12: ${name} in a workload file is refused with its path`, async () => {
    await assert.rejects(words(FILE, text), { code: 'WEFT_WORKLOAD_FILE', message });
    await assert.rejects(words(FILE, text), /\/etc\/weft\/workloads\/web\.yaml/);
  });

test('H12: a workload file that is not there', async () => {
  const absent = (): string => {
    throw new Error('ENOENT');
  };
  await assert.rejects(withWorkloadFile(FILE, absent), { code: 'WEFT_WORKLOAD_FILE', message: /ENOENT/ });
});
