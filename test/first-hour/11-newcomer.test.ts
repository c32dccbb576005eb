import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { Program } from '../e2e/programs.testing.ts';
import { Machine } from './machine.testing.ts';

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

/** What somebody types, the exit code, and what is to be told. `nobody`: typed without being root. */
type Typed = { line: string; code: number; says: RegExp; nobody?: true };

const JOB = '--user nobody --service-account job';

/** Full: no byte is left; ro: nothing may be written. */
const NOTHING_RUNS: readonly Typed[] = [
  { line: 'weft statu', code: 2, says: /unknown command 'statu'\n\(Did you mean status\?\)/ },
  { line: 'weft describe web', code: 2, says: /'web' is no <kind\/name>\. Write one of workload, service/ },
  { line: 'weft ps -o xml', code: 2, says: /Allowed choices are table, wide, json, yaml/ },
  { line: 'weft run --name x -- true', code: 2, says: /--service-account <name>/ },
  { line: 'weft status', code: 1, says: /nothing of the mesh runs on this machine/ },
  { line: 'weft ps', code: 1, says: /no agent has a socket below \/run\/weft/ },
  { line: 'weft describe service/web', code: 1, says: /control plane does not answer/ },
  { line: 'weft logs web', code: 1, says: /no log of default\/web/ },
  { line: 'weft exec web -- id', code: 1, says: /no workload default\/web runs/ },
  { line: 'weft stop web', code: 1, says: /no agent has a socket/ },
  { line: 'weft log-level debug', code: 1, says: /no part of a mesh runs/ },
  { line: "weft token two --identity '*/*'", code: 1, says: /control plane does not answer/ },
  { line: `weft run ${JOB} --name x -- true`, code: 1, says: /no agent/i },
  { line: 'weft validate nowhere.yaml', code: 1, says: /cannot read nowhere\.yaml[\s\S]*it is not there \(ENOENT\)/ },
  { line: 'weft up nowhere', code: 1, says: /configuration directory \S+\/nowhere does not exist/ },
  { line: 'weft up mesh/web.yaml', code: 1, says: /web\.yaml: it is no directory/ },
  { line: 'weft up mesh --run-dir /run/ro/x', code: 1, says: /cannot make \/run\/ro\/x: its file system is read-only \(EROFS\)/ },
  {
    line: 'weft up mesh --run-dir /run/full/x',
    code: 1,
    says: /no room is left on its file system \(ENOSPC\)[\s\S]*df -h \/run\/full\/x/,
  },
  {
    line: 'weft up mesh --run-dir /run/file',
    code: 1,
    says: /cannot make \/run\/file: it is there already, and is no directory/,
  },
  {
    line: 'weft control --config mesh --state-dir /run/full/y --socket /run/c.sock',
    code: 1,
    says: /state \/run\/full\/y cannot be made: no room/,
  },
  {
    line: 'weft control --config mesh --state-dir /run/ro/y --socket /run/c.sock',
    code: 1,
    says: /\/run\/ro\/y cannot be made: its file system is read-only/,
  },
  { line: 'weft bug-report /run/full/x.tar.gz', code: 1, says: /cannot write \/run\/full\/x\.tar\.gz[\s\S]*no room is left/ },
  { line: 'weft bug-report /run/ro/x.tar.gz', code: 1, says: /cannot write \/run\/ro\/x\.tar\.gz[\s\S]*read-only/ },
  {
    line: 'weft control --config mesh --listen 192.0.2.1:15012',
    code: 1,
    says: /192\.0\.2\.1:15012: no interface of this machine has/,
  },
  {
    line: 'WEFT_LOG_LEVEL=loud weft up mesh',
    code: 1,
    says: /^weft: the environment variable WEFT_LOG_LEVEL is "loud" \(WEFT_SETTING\)\nremedy: [^\n]*\n$/,
  },
  { line: 'weft demo --once --json /run/ro/x', code: 1, says: /cannot look at \/run\/ro: its file system is read-only/ },
  { line: 'weft lab up mesh --json /nowhere/x', code: 1, says: /cannot look at \/nowhere: it is not there/ },
  {
    line: 'weft agent --node a --control 127.0.0.1:1 --control-root mesh/web.yaml --token-file mesh/web.yaml --pool4 10.1.0.0/24 --pool6 fd00::/64',
    code: 1,
    says: /what --token-file names holds no token \(WEFT_CONTROL_TOKEN\)/,
  },
  { line: 'weft up mesh', nobody: true, code: 1, says: /you are not root/ },
  { line: 'weft uninstall', nobody: true, code: 1, says: /you are not root/ },
  { line: 'weft check', nobody: true, code: 1, says: /you are not root/ },
];

const MESH_RUNS: readonly Typed[] = [
  { line: 'weft up mesh --node one', code: 1, says: /a mesh runs on this machine already/ },
  { line: 'weft describe service/nowhere', code: 1, says: /no service default\/nowhere in the mesh/ },
  { line: 'weft exec nowhere -- id', code: 1, says: /no workload default\/nowhere/ },
  { line: 'weft stop nowhere', code: 1, says: /no workload default\/nowhere/ },
  { line: 'weft log-level agent/two=debug', code: 1, says: /name one of control, agent\/one/ },
  {
    line: `cd / && weft run --user no-such-user --service-account job --name a -- true`,
    code: 1,
    says: /no user "no-such-user"/,
  },
  { line: `cd / && weft run ${JOB} --name b -- no-such-command`, code: 127, says: /no command "no-such-command"/ },
  { line: `cd / && weft run ${JOB} --name c -- /etc/passwd`, code: 126, says: /may not be executed/ },
  { line: `weft bug-report /run/w/report.tar.gz`, nobody: true, code: 1, says: /you may not/ },
  ...['ps', 'status', 'stop x', 'log-level', 'logs', 'describe service/web', `run ${JOB} --name d -- true`].map(
    (words): Typed => ({ line: `weft ${words}`, nobody: true, code: 1, says: /you (may not (read|open)|are not root)/ }),
  ),
];

/** Its processes were killed, and its directories are still there. */
const MESH_IS_DEAD: readonly Typed[] = [
  { line: 'weft status', code: 0, says: /node one: its agent does not answer[\s\S]*control plane does not answer/ },
  { line: 'weft ps', code: 1, says: /agent does not answer/ },
  { line: 'weft stop x', code: 1, says: /agent does not answer/ },
  { line: 'weft describe service/web', code: 1, says: /control plane does not answer/ },
  { line: `cd / && weft run ${JOB} --name x -- true`, code: 1, says: /agent does not answer/ },
  { line: 'weft check', code: 1, says: /WEFT_NO_CONTROL[\s\S]*WEFT_NO_AGENT/ },
  { line: 'weft bug-report late.tar.gz', code: 0, says: /late\.tar\.gz: \d+ files/ },
];

describe('what a newcomer types', () => {
  const machine = new Machine();
  before(async () => {
    await machine.boot();
    mkdirSync(machine.path('mesh'));
    writeFileSync(machine.path('mesh/web.yaml'), MESH);
    await machine.done(`set -e; chmod 755 .; mkdir /run/full /run/ro /run/w; touch /run/file
      mount -t tmpfs -o size=16k none /run/full; mount -t tmpfs -o ro none /run/ro; dd if=/dev/zero of=/run/full/fill bs=1k 2>/dev/null || true`);
  });
  after(() => machine.close());

  const typed = async ({ line, code, says, nobody }: Typed): Promise<void> => {
    const who = nobody === true ? 'setpriv --reuid 65534 --regid 65534 --clear-groups -- ' : '';
    const text = await machine.done(`${who}${line} 2>&1 < /dev/null`, { code });
    assert.match(text, says, line);
    assert.doesNotMatch(text, /unexpected error|^\s+at .*:\d+|\bE[A-Z]{3,}: \w/m, line);
    if (code !== 0 && code < 3) assert.match(text, /^ *remedy: \S/m, line);
  };
  const all = async (lines: readonly Typed[]): Promise<void> => {
    const left = [...lines];
    const one = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await typed(next);
    };
    await Promise.all([one(), one(), one()]);
  };

  test('H21: before anything runs, on a disk that is full or read-only, and without being root', () => all(NOTHING_RUNS));

  test('H21: while a mesh runs, and when its processes were killed', async () => {
    const up: Program = machine.type('exec weft up mesh --node one');
    await up.until(/The mesh is up/);
    await all(MESH_RUNS);
    const { control, nodes } = JSON.parse(await machine.done('weft status -o json'));
    await machine.done(`kill -9 ${up.child.pid} ${control.status.pid} ${nodes[0].status.pid}`);
    await up.ended;
    await all(MESH_IS_DEAD);
    assert.match(await machine.done('weft uninstall --yes'), /node one: removed/);
  });
});
