import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WeftError } from '#model/error.ts';
import { type Account, type Rights, workloadRights } from '#model/rights/rights.ts';
import { launchIn } from './launch.ts';
import { inOwnNetns, runIn, testNode } from './own-netns.testing.ts';
import type { Sandbox } from './sandbox.ts';

const KEY = { namespace: 'shop', name: 'reviews' };
const SH = '/bin/sh';

inOwnNetns(import.meta.url, () => {
  let node: Awaited<ReturnType<typeof testNode>>;
  let sandbox: Sandbox;
  before(async () => {
    node = await testNode();
    await node.sandboxes.prepareNode();
    sandbox = await node.sandboxes.create(KEY);
  });
  after(() => node.clean());

  const printArguments = [process.execPath, '-e', 'process.stdout.write(JSON.stringify(process.argv.slice(1)))', '--'];
  const awkward = [
    '',
    ' ',
    'a b',
    '$HOME',
    '`id`',
    '$(id)',
    '"',
    "'",
    '\\',
    '*',
    ';',
    '|',
    '&&',
    '-n',
    '--',
    '\n',
    'ü',
    '!x',
    '{}',
    '~',
  ];
  for (const mountResolvConf of [false, true]) {
    test(`any argument arrives as it is (resolv.conf mounted: ${mountResolvConf})`, async () => {
      const { stdout, stderr, status } = await runIn(sandbox, [...printArguments, ...awkward], { mountResolvConf });
      assert.deepEqual([JSON.parse(stdout), stderr, status], [awkward, '', 0]);
    });
  }

  test('the environment is the given one, names that a shell would lose included', async () => {
    const env = {
      PATH: process.env.PATH ?? '',
      EMPTY: '',
      'discovery.type': 'single node',
      'BASH_FUNC_x%%': '() { :; }',
      'with-dash': '$x "y"',
    };
    const script = 'process.stdout.write(JSON.stringify(process.env))';
    const { stdout } = await runIn(sandbox, [process.execPath, '-e', script], { env, mountResolvConf: true });
    const { PWD: _, OLDPWD: __, SHLVL: ___, _: ____, ...seen } = JSON.parse(stdout);
    assert.deepEqual(seen, env);
  });

  test('the working directory is the given one', async () => {
    const { stdout } = await runIn(sandbox, [SH, '-c', 'pwd -P'], { cwd: '/usr', mountResolvConf: true });
    assert.equal(stdout, '/usr\n');
  });

  test('the workload sees its own resolv.conf, nobody else does', async () => {
    const outside = readFileSync('/etc/resolv.conf', 'utf8');
    const { stdout } = await runIn(sandbox, ['cat', '/etc/resolv.conf'], { mountResolvConf: true });
    assert.equal(stdout, readFileSync(sandbox.resolvConfPath, 'utf8'));
    assert.equal(readFileSync('/etc/resolv.conf', 'utf8'), outside);
    assert.equal((await runIn(sandbox, ['cat', '/etc/resolv.conf'])).stdout, outside);
  });

  for (const mountResolvConf of [false, true]) {
    test(`the process is the command itself, in cgroup and namespace of the sandbox (resolv.conf mounted: ${mountResolvConf})`, async () => {
      const script = 'echo $$; cat /proc/self/cgroup; readlink /proc/self/ns/net';
      const child = launchIn(sandbox, [SH, '-c', script], {
        env: process.env,
        cwd: '/',
        mountResolvConf,
        rights: null,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout?.on('data', (chunk: Buffer) => (output += chunk));
      await new Promise((resolve) => child.on('close', resolve));
      const lines = output.trim().split('\n');
      assert.equal(Number(lines[0]), child.pid);
      assert.ok(lines.some((line) => line.startsWith('0::') && line.endsWith('/workloads/shop.reviews')));
      const { stdout } = await runIn(sandbox, ['stat', '-L', '-c', 'net:[%i]', sandbox.netnsPath]);
      assert.equal(lines.at(-1), stdout.trim());
    });
  }

  test('the cgroup is joined before the network namespace is entered', async () => {
    const gone = { ...sandbox, netnsPath: '/run/netns/weft-never-was' };
    const probe = await runIn(gone, [SH, '-c', 'exit 0']);
    assert.notEqual(probe.status, 0);
    const noCgroup = { ...sandbox, cgroupPath: '/nowhere' };
    const { status, stderr } = await runIn(noCgroup, [SH, '-c', 'echo ran']);
    assert.equal(status, 125);
    assert.match(stderr, /weft: cannot join the cgroup \/nowhere/);
  });

  const statuses = [
    { name: 'success', argv: ['true'], status: 0 },
    { name: 'any status', argv: [SH, '-c', 'exit 42'], status: 42 },
    { name: 'a command that is not found', argv: ['no-such-command'], status: 127 },
    { name: 'a file that is not executable', argv: [fileURLToPath(import.meta.url)], status: 126 },
  ];
  for (const { name, argv, status } of statuses) {
    for (const mountResolvConf of [false, true]) {
      test(`exit status: ${name} (resolv.conf mounted: ${mountResolvConf})`, async () => {
        assert.equal((await runIn(sandbox, argv, { mountResolvConf })).status, status);
      });
    }
  }

  test('a signal reaches the command, and its death by one is seen as such', async () => {
    const started = (argv: string[]) =>
      launchIn(sandbox, argv, {
        env: process.env,
        cwd: '/',
        mountResolvConf: true,
        rights: null,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const handling = started([
      process.execPath,
      '-e',
      "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('ready')",
    ]);
    await new Promise((resolve) => handling.stdout?.once('data', resolve));
    handling.kill('SIGTERM');
    assert.equal(await new Promise((resolve) => handling.on('close', resolve)), 7);
    const dying = started([process.execPath, '-e', "setInterval(() => {}, 1000); console.log('ready')"]);
    await new Promise((resolve) => dying.stdout?.once('data', resolve));
    dying.kill('SIGKILL');
    assert.equal(await new Promise((resolve) => dying.on('close', (_, signal) => resolve(signal))), 'SIGKILL');
  });

  test('standard input goes to the command', async () => {
    const child = launchIn(sandbox, ['cat'], {
      env: process.env,
      cwd: '/',
      mountResolvConf: true,
      rights: null,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk));
    child.stdin?.end('two\nlines\n');
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(output, 'two\nlines\n');
  });

  test('a resolv.conf that cannot be mounted is told, with status 125', async () => {
    const { status, stderr } = await runIn({ ...sandbox, resolvConfPath: '/nowhere' }, ['true'], { mountResolvConf: true });
    assert.equal(status, 125);
    assert.match(stderr, /weft: cannot mount \/nowhere over \/etc\/resolv\.conf/);
  });

  test('a network namespace is not held by processes of other sandboxes', async () => {
    const other = await node.sandboxes.create({ ...KEY, name: 'other' });
    const child = launchIn(sandbox, ['cat'], {
      env: process.env,
      cwd: '/',
      mountResolvConf: true,
      rights: null,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin?.write('x');
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    const mounts = (): string => readFileSync(`/proc/${child.pid}/mountinfo`, 'utf8');
    assert.ok(mounts().includes(other.netnsPath));
    await node.sandboxes.remove({ ...KEY, name: 'other' });
    assert.ok(!mounts().includes(other.netnsPath));
    child.stdin?.end();
    await new Promise((resolve) => child.on('close', resolve));
  });

  const rightsOf = async (rights: Rights): Promise<Record<string, string>> => {
    const { stdout } = await runIn(sandbox, ['grep', '-E', '^(Cap|NoNewPrivs|Uid|Gid|Groups)', '/proc/self/status'], { rights });
    return Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(':\t') as [string, string]),
    );
  };
  const NOBODY: Account = { uid: 65_534, gid: 65_534, groups: [], name: null, home: '/' };
  const NONE = '0000000000000000';

  test('rights: root has the capabilities of a workload and no more, and cannot get others', async () => {
    const { CapPrm, CapEff, CapBnd, CapInh, CapAmb, NoNewPrivs, Uid } = await rightsOf(workloadRights(null, []));
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10, SYS_CHROOT 18
    assert.deepEqual([CapPrm, CapEff, CapBnd], Array(3).fill('00000000000404fb'));
    assert.deepEqual([CapInh, CapAmb, NoNewPrivs, Uid?.split('\t')[1]], [NONE, NONE, '1', '0']);
  });

  test('rights: another user may serve a low port, and has what was given by name', async () => {
    const groups = [65_534, 12];
    const told = await rightsOf(workloadRights({ ...NOBODY, groups }, ['NET_RAW']));
    assert.deepEqual([told.CapPrm, told.CapEff, told.CapAmb], Array(3).fill('0000000000002400'));
    assert.equal(told.CapBnd, '00000000000424fb');
    assert.deepEqual(told.Uid?.split('\t'), Array(4).fill('65534'));
    assert.deepEqual([told.Gid?.split('\t')[1], told.Groups?.trim()], ['65534', '12 65534']);
  });

  test('rights: a user without groups of his own has none of the one who starts him', async () => {
    const told = await rightsOf(workloadRights(NOBODY, []));
    assert.equal(told.Groups?.trim(), '');
  });

  test("rights: who the user is stands in the environment, and the exit status is the command's own", async () => {
    const rights = workloadRights({ ...NOBODY, name: 'nobody', home: '/nonexistent' }, []);
    const { stdout, status } = await runIn(sandbox, [SH, '-c', 'echo "$HOME $USER $LOGNAME"; exit 42'], { rights });
    assert.deepEqual([stdout, status], ['/nonexistent nobody nobody\n', 42]);
    const env = { PATH: '/usr/bin:/bin' }; // a folder that only root may search would make it 126
    assert.equal((await runIn(sandbox, ['no-such-command'], { rights, env })).status, 127);
  });

  const refusals = [
    { name: 'no command', argv: [], cwd: '/' },
    { name: 'an option', argv: ['-x'], cwd: '/' },
    { name: 'a NUL', argv: ['echo', 'a\0b'], cwd: '/' },
    { name: 'a missing directory', argv: ['true'], cwd: '/no/such' },
    { name: 'a name with "=" beside odd variables', argv: ['a=b'], cwd: '/' },
  ];
  for (const { name, argv, cwd } of refusals) {
    test(`refused before anything starts: ${name}`, () => {
      const start = () => launchIn(sandbox, argv, { env: { 'odd.name': '1' }, cwd, mountResolvConf: false, rights: null });
      assert.throws(
        start,
        (error) => error instanceof WeftError && error.code === 'WEFT_SANDBOX_LAUNCH' && error.remedy !== undefined,
      );
    });
  }

  test('local name services of the machine are out of sight, so that names are asked by DNS', async () => {
    // In a mount namespace of its own, with an empty /run but for the network namespaces and such a service's socket.
    const script = join(node.options.runDir, 'hidden.mjs');
    writeFileSync(
      script,
      `import { launchIn } from ${JSON.stringify(new URL('./launch.ts', import.meta.url).href)};
       import { createServer } from 'node:net';
       import { mkdirSync } from 'node:fs';
       mkdirSync('/run/nscd');
       createServer().listen('/run/nscd/socket', () => {
         const probe = "require('net').connect('/run/nscd/socket').on('connect', () => process.exit(1)).on('error', (e) => process.exit(e.code === 'ECONNREFUSED' ? 0 : 2))";
         const child = launchIn(${JSON.stringify(sandbox)}, [process.execPath, '-e', probe], { env: process.env, cwd: '/', mountResolvConf: true, rights: null });
         child.on('close', (status) => process.exit(status));
       });`,
    );
    const inOwnRun =
      'mkdir "$1/netns" && mount --rbind /run/netns "$1/netns" && mount -t tmpfs none /run && mkdir /run/netns && mount --move "$1/netns" /run/netns && exec "$2" "$3"';
    const argv = ['unshare', '--mount', SH, '-c', inOwnRun, 'weft', node.options.runDir, process.execPath, script];
    const { status, stderr } = await runIn(sandbox, argv);
    assert.deepEqual([status, stderr], [0, '']);
  });
});
