import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Program, ROOT } from '../e2e/programs.testing.ts';
import { Debians } from './debian.testing.ts';
import { follow } from './guide.testing.ts';
import { Units } from './units.testing.ts';

const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** What the package puts on a machine, without the time that it takes to pack it: the whole way is `make test-package`. */
describe('the package as it is laid out', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-package-'));
  const root = join(dir, 'root');
  const lib = join(root, 'usr/lib/weft');
  before(() => {
    execFileSync('scripts/package', [], {
      cwd: ROOT,
      env: { ...process.env, WEFT_STAGE: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    cpSync(join(ROOT, 'build/package', ARCH, 'root'), root, { recursive: true, verbatimSymlinks: true });
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const weft = (...args: string[]): string =>
    execFileSync(join(root, 'usr/bin/weft'), args, {
      encoding: 'utf8',
      cwd: dir,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });

  test('H10: the program runs from its bundle and its own Node.js, with nothing of the tree around it', () => {
    const { version, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    assert.match(weft('version'), new RegExp(`^weft ${version} \\(Node\\.js v${dependencies.node}, `));
    assert.match(weft('version', '-o', 'yaml'), new RegExp(`^weft: ${version}$`, 'm'));
    assert.match(weft('validate', join(lib, 'examples/quickstart/mesh')), /^0 errors, 0 warnings$/m);
    assert.equal(existsSync(join(lib, 'src/main')), false);
  });

  test('H10: eBPF objects, manual, completions and licences come along, and nothing that compiles', () => {
    const objects = globSync('*.o', { cwd: join(lib, 'build/bpf') });
    assert.deepEqual(
      objects.sort(),
      globSync('*.bpf.c', { cwd: join(ROOT, 'bpf/attach') })
        .map((name) => name.replace('.bpf.c', '.o'))
        .sort(),
    );
    for (const path of [
      'usr/share/man/man1/weft-run.1.gz',
      'usr/share/bash-completion/completions/weft',
      'usr/share/zsh/vendor-completions/_weft',
      'usr/share/fish/vendor_completions.d/weft.fish',
      'usr/share/doc/weft/copyright',
    ])
      assert.ok(statSync(join(root, path)).size > 0, path);
    assert.match(readFileSync(join(root, 'usr/share/doc/weft/copyright'), 'utf8'), /@grpc\/grpc-js .*: Apache-2\.0/);
    assert.deepEqual(globSync('**/{typescript,esbuild,buf,biome}', { cwd: root }), []);
  });

  test('H12: its units are such as systemd takes', {
    skip: existsSync('/usr/bin/systemd-analyze') ? false : 'no systemd-analyze',
  }, () => {
    const units = globSync('*.service', { cwd: join(root, 'usr/lib/systemd/system') });
    assert.deepEqual(units.sort(), ['weft-agent.service', 'weft-control.service', 'weft-workload@.service']);
    const copies = join(dir, 'units');
    mkdirSync(copies);
    for (const unit of units) {
      const text = readFileSync(join(root, 'usr/lib/systemd/system', unit), 'utf8');
      writeFileSync(join(copies, unit), text.replaceAll('/usr/bin/weft', join(root, 'usr/bin/weft')));
    }
    const paths = units.map((unit) => join(copies, unit.replace('@.', '@web.')));
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], {
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_UNIT_PATH: `${copies}:` },
    });
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stdout + stderr, '');
  });

  test('H10: less than 80 MB beside Node.js, and no file that others may write', () => {
    const files = globSync('**/*', { cwd: root, withFileTypes: true }).filter((entry) => entry.isFile());
    const sizes = files.map((entry) => statSync(join(entry.parentPath, entry.name)));
    const node = statSync(join(lib, 'node_modules/node/bin/node')).size;
    const beside = sizes.reduce((sum, { size }) => sum + size, 0) - node;
    assert.ok(beside < 80e6, `${beside} bytes`);
    assert.ok(sizes.every(({ mode }) => (mode & 0o022) === 0));
  });
});

/** Keeps eight connections of one workload to the database, a question and an answer at a time; says how it went when it is asked to end. */
const LOAD = `
const net = require('node:net');
let answers = 0, broken = 0;
for (let i = 0; i < 8; i++) {
  const socket = net.connect(6379, 'near');
  const ask = () => socket.write('PING\\r\\n');
  socket.on('connect', ask).on('data', () => { answers++; if (answers === 8) console.log('all answer'); setTimeout(ask, 5); });
  socket.on('error', (error) => { broken++; console.log(error.code); }).on('end', () => { broken++; console.log('ended'); });
}
process.on('SIGTERM', () => { console.log(answers + ' answers, ' + broken + ' broken'); process.exit(0); });
`;

const NODE = '/usr/lib/weft/node_modules/node/bin/node';
const heavy = process.env.WEFT_PACKAGE_TEST === undefined ? 'make test-package runs it' : false;

describe('the package on Debian machines with nothing but its dependencies', { skip: heavy }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-packages-'));
  const [old, next] = [join(dir, 'old.deb'), join(dir, 'next.deb')];
  let debians: Debians;

  const build = (env: NodeJS.ProcessEnv): string =>
    execFileSync('scripts/package', [], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  /** How much memory each process of Weft on a machine holds. */
  const memory = async (machine: string): Promise<string> => {
    const seen = 'for pid in /proc/[0-9]*; do tr "\\0" " " < $pid/cmdline; grep VmRSS $pid/status || echo; done';
    const text = await debians.said(machine, seen);
    return [...text.matchAll(/program\/weft\.js (\w+).*VmRSS:\s+(\d+)/g)]
      .map(([, part, kilobytes]) => `${part} ${Math.round(Number(kilobytes) / 1024)} MiB`)
      .join(', ');
  };

  before(async () => {
    const first = build({});
    cpSync(join(ROOT, 'build/package', first.match(/weft_\S+\.deb/)?.[0] ?? ''), old);
    build({ WEFT_VERSION: '0.2.0', WEFT_STAGE: '1' });
    const stage = join(ROOT, 'build/package', ARCH, 'root');
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', stage, next], { stdio: 'pipe' });
    debians = new Debians();
    for (const machine of ['node-1', 'node-2']) await debians.boot(machine);
    debians.wire('node-1', 'node-2');
  });
  after(async () => {
    await debians?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('H10: it installs with the package manager alone', async (t) => {
    for (const machine of ['node-1', 'node-2']) {
      debians.put(machine, old, '/root/weft.deb');
      assert.match(await debians.said(machine, 'dpkg -i /root/weft.deb && weft version'), /^weft 0\.1\.0 \(Node/m);
    }
    const kilobytes = Number((await debians.said('node-1', 'dpkg -s weft | sed -n s/Installed-Size:.//p')).trim());
    const node = statSync(debians.file('node-1', NODE)).size;
    t.diagnostic(
      `package ${(statSync(old).size / 1e6).toFixed(1)} MB, installed ${(kilobytes / 1024).toFixed(1)} MiB, of it Node.js ${(node / 2 ** 20).toFixed(1)} MiB`,
    );
  });

  test('H13: the quick start does what it says, and leaves only the state directory', async (t) => {
    await debians.said('node-1', 'cp -r /usr/lib/weft/examples/quickstart /tmp/quickstart');
    const seconds: string[] = [];
    for (let start = 0; start < 3; start++) {
      const startedMs = performance.now();
      await debians.said('node-1', 'weft up --detach /tmp/quickstart/mesh');
      seconds.push(((performance.now() - startedMs) / 1_000).toFixed(2));
      if (start === 2) t.diagnostic(`resident: ${await memory('node-1')}`);
      await debians.said('node-1', 'weft uninstall --yes');
    }
    t.diagnostic(`cold start to ready, first and further ones: ${seconds.join(', ')} s`);
    const outcomes = await follow(debians, 'quick-start.md');
    const client = outcomes.find(({ line }) => line.includes('client.js'))?.program;
    assert.match(client?.output() ?? '', /200 hello, 10\.41\.0\.\d+[\s\S]*ECONNREFUSED/);
    await leavesNothing('node-1');
    await debians.said('node-1', 'test -d /var/lib/weft && rm -rf /var/lib/weft');
  });

  test('H12: as a service: the units start it, hear that it is ready and alive, reload and restart it under its workload', async (t) => {
    const units = new Units(debians);
    const beats: number[] = [];
    const outcomes = await follow(debians, 'service.md', {
      async systemctl(machine, line) {
        const alive = (): number => units.told(machine, 'weft-control').filter((message) => message === 'WATCHDOG=1').length;
        if (line.includes('reload')) beats.push(alive());
        await units.systemctl(machine, line);
        if (line.includes('weft-workload@cache') && line.includes('enable')) beats.push(alive());
      },
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${units.journal()}`);
    });
    const answers = outcomes.filter(({ line }) => line.includes('redis-cli')).map(({ text }) => text);
    assert.match(answers[0] ?? '', /^OK$/m);
    assert.match(answers[1] ?? '', /^hello$/m, 'the workload did not outlive a restart of its agent');
    const [first = 0, second = 0] = beats;
    t.diagnostic(`weft-control was alive ${first}, then ${second} times`);
    assert.ok(first > 0 && second > first, 'a watchdog would have ended it');
    await leavesNothing('node-1');
    await debians.said('node-1', 'rm -rf /var/lib/weft /etc/weft');
  });

  const listed = (machine: string, ...paths: string[]): Promise<string> =>
    debians.said(machine, `ls -d ${paths.join(' ')} 2>/dev/null || true`);

  /** Nothing of a mesh in the kernel of a machine, nor in its file system outside the state directory. */
  async function leavesNothing(machine: string): Promise<void> {
    const left = await debians.said(
      machine,
      '{ ls -d /run/weft* /sys/fs/cgroup/weft/node-* /sys/fs/bpf/weft* /run/netns/* /etc/netns/* 2>/dev/null | grep -v weft-private; nft list tables | grep weft; ip -o link | grep -v " lo:\\| eth0"; } || true',
    );
    assert.equal(left, '', `left on ${machine}`);
  }

  test('H13: two machines, a database and its client across them, and a policy', async () => {
    const parts = await follow(debians, 'two-machines.md');
    const agent = parts.find(({ line }) => line.includes('--node node-1'))?.program;
    const database = await follow(debians, 'database.md');
    assert.match(database.at(-1)?.text ?? '', /^hello$/m);
    assert.match(agent?.output() ?? '', /src\.identity=\S+\/sa\/client .*dst\.addr=10\.41\.2\.2:15008 .*dst\.workload=db/);
    const policy = await follow(debians, 'policy.md');
    assert.match(policy.find(({ line }) => line.includes('--name client'))?.text ?? '', /^hello$/m);
    assert.match(policy.find(({ line }) => line.startsWith('!'))?.text ?? '', /refused|reset|closed/i);
    const published = await follow(debians, 'publish-a-port.md');
    assert.match(published.map(({ text }) => text).join('\n'), /0\.0\.0\.0:6380->6379\/tcp[\s\S]*^PONG$[\s\S]*^PONG$/m);
  });

  test('H10: an upgrade under load breaks none of the connections on one node', async (t) => {
    const near = await debians.run(
      'node-1',
      `weft run --user redis --name near --service-account db --label app=near -- redis-server --bind 0.0.0.0 :: --protected-mode no --save '' --dir /tmp`,
    );
    await near.until(/Ready to accept/);
    writeFileSync(
      debians.file('node-1', '/etc/weft/mesh/near.yaml'),
      'apiVersion: v1\nkind: Service\nmetadata: { name: near, namespace: default }\nspec: { selector: { app: near }, ports: [{ name: tcp, port: 6379 }] }\n',
    );
    writeFileSync(debians.file('node-1', '/root/load.js'), LOAD);
    await debians.said(
      'node-1',
      'chmod 755 /root; for i in $(seq 50); do weft status --json | grep -q near && break; sleep 0.1; done',
    );
    const load: Program = await debians.run(
      'node-1',
      `weft run --user nobody --name load --service-account load -- ${NODE} /root/load.js`,
    );
    await load.until(/all answer/);
    debians.put('node-1', next, '/root/weft-new.deb');
    await follow(debians, 'upgrade.md');
    assert.match(await debians.said('node-1', 'weft status'), /0\.2\.0, pid/);
    await debians.said('node-1', 'weft stop load');
    await load.ended;
    t.diagnostic(`during the upgrade: ${/.* broken/.exec(load.output())?.[0]}`);
    assert.match(load.output(), /^\d{3,} answers, 0 broken$/m);
    t.diagnostic(`resident: ${await memory('node-1')}`);
  });

  test('H10: removed, nothing of it is left but the state directory; purged, not even that', async () => {
    await follow(debians, 'uninstall.md');
    for (const machine of ['node-1', 'node-2']) await leavesNothing(machine);
    assert.equal(await listed('node-2', '/usr/lib/weft', '/usr/bin/weft', '/usr/share/doc/weft', '/run/weft*'), '');
    assert.equal(await listed('node-1', '/usr/lib/weft', '/var/lib/weft', '/run/weft*'), '');
  });
});
