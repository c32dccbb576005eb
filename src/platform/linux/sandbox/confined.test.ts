import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WeftError } from '#model/error.ts';
import { workloadRights } from '#model/rights/rights.ts';
import { isPopulated } from '#platform/linux/cgroup/cgroup.ts';
import { limitCgroup, oomKills } from '#platform/linux/cgroup/limits.ts';
import { type ConfinedOptions, type ConfinedProcess, launchConfined } from './confined.ts';
import { inOwnNetns, testNode } from './own-netns.testing.ts';
import type { Sandbox } from './sandbox.ts';

const KEY = { namespace: 'shop', name: 'reviews' };
const SH = '/bin/sh';
const NOBODY = { uid: 65_534, gid: 65_534, groups: [], name: 'nobody', home: '/' };

inOwnNetns(import.meta.url, () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-confined-'));
  let node: Awaited<ReturnType<typeof testNode>>;
  let sandbox: Sandbox;
  before(async () => {
    node = await testNode();
    await node.sandboxes.prepareNode();
    sandbox = await node.sandboxes.create(KEY);
  });
  after(async () => {
    rmSync(dir, { recursive: true });
    await node.clean();
  });

  const start = (argv: readonly string[], changes: Partial<ConfinedOptions> = {}): ConfinedProcess => {
    const rights = workloadRights(null, []);
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    return launchConfined(sandbox, argv, {
      ...{ env: process.env, cwd: '/', rights, hidden: [node.options.runDir], shared: [], hostname: 'reviews', stdio },
      ...changes,
    });
  };
  const ending = async (process: ConfinedProcess) => {
    let [stdout, stderr] = ['', ''];
    process.stdout?.on('data', (chunk: Buffer) => (stdout += chunk));
    process.stderr?.on('data', (chunk: Buffer) => (stderr += chunk));
    const status = await new Promise<number | null>((resolve) => process.once('close', resolve));
    return { status, stdout, stderr };
  };
  const run = (argv: readonly string[], changes: Partial<ConfinedOptions> = {}) => ending(start(argv, changes));
  const said = (process: ConfinedProcess) => new Promise((resolve) => process.stdout?.once('data', resolve));

  for (const { name, argv, status } of [
    { name: 'success', argv: ['true'], status: 0 },
    { name: 'any status', argv: [SH, '-c', 'exit 42'], status: 42 },
    { name: 'a command that is not found', argv: ['no-such-command'], status: 127 },
    { name: 'a file that is not executable', argv: [fileURLToPath(import.meta.url)], status: 126 },
    { name: 'a signal to itself', argv: [SH, '-c', 'kill -SEGV $$'], status: 139 },
  ])
    test(`exit status: ${name}`, async () => assert.equal((await run(argv)).status, status));

  test('H5: a command that is not there, or may not be run, is told as an error with a code and what to do', async () => {
    const own = fileURLToPath(import.meta.url);
    for (const [argv, says] of [
      [
        ['no-such-command'],
        /^weft: there is no command "no-such-command" \(WEFT_NO_COMMAND\)\nremedy: check its name.*PATH is .*\n$/,
      ],
      [['./no-such-file'], /^weft: there is no file \.\/no-such-file to be run \(WEFT_NO_COMMAND\)\nremedy: check its path.*\n$/],
      [[own], /^weft: .*confined\.test\.ts may not be executed by user \S+ \(WEFT_NO_COMMAND\)\nremedy: make it executable.*\n$/],
      [['/usr'], /^weft: \/usr may not be executed by user \S+ \(WEFT_NO_COMMAND\)\nremedy: .*\n$/],
    ] as const)
      assert.match((await run(argv)).stderr, says);
  });

  test('H5: a command that went into the background is told to end here; one that waited for its children is not', async () => {
    const daemon = await run([SH, '-c', 'sleep 1000 & sleep 1000 & exit 0']);
    assert.equal(daemon.status, 0);
    assert.equal(
      daemon.stderr,
      'weft: the command has ended and left processes in the background (2), which end with it: run it in the foreground\n',
    );
    const well = await run([SH, '-c', 'sleep 0 & sleep 0 | cat; wait; exit 0']);
    assert.deepEqual([well.status, well.stderr], [0, '']);
    assert.equal((await run([SH, '-c', 'sleep 1000 & exit 3'])).stderr, '');
  });

  test('any argument and the environment arrive as they are', async () => {
    const script = 'process.stdout.write(JSON.stringify([process.argv.slice(1), process.env["odd.name"], process.cwd()]))';
    const awkward = ['', ' ', '$HOME', "'", '"', '\\', '\n', 'ü', '*', ';', '--'];
    const env = { PATH: process.env.PATH ?? '', 'odd.name': "it's" };
    const { stdout, stderr } = await run([process.execPath, '-e', script, '--', ...awkward], { env, cwd: '/usr' });
    assert.deepEqual([JSON.parse(stdout), stderr], [[awkward, "it's", '/usr'], '']);
  });

  test('a signal goes to the command, which ends as it likes', async () => {
    const script = "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('ready')";
    const command = start([process.execPath, '-e', script]);
    const ended = ending(command);
    await said(command);
    command.kill('SIGTERM');
    assert.equal((await ended).status, 7);
  });

  test('a signal that the command does not handle ends it, as outside of a namespace, and nothing is printed about it', async () => {
    for (const [signal, status] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
      ['SIGKILL', 137],
    ] as const) {
      const command = start([SH, '-c', 'echo ready; exec sleep 1000']);
      const ended = ending(command);
      await said(command);
      command.kill(signal);
      assert.deepEqual(await ended, { status, stdout: 'ready\n', stderr: '' });
    }
  });

  test('a signal that comes before the command runs is not lost', async () => {
    const command = start(['sleep', '1000']);
    command.kill('SIGTERM');
    assert.equal((await ending(command)).status, 143);
  });

  test('an orphan is reaped, and what the command leaves behind ends with it', async () => {
    const script = `(sleep 0.1 &) ; (setsid sleep 1000 &) ; sleep 0.4; ps -o stat= ax | grep -c Z`;
    assert.equal((await run([SH, '-c', script])).stdout, '0\n');
    assert.equal(await isPopulated(sandbox.cgroupPath), false);
  });

  test('only its own processes are in sight, and the first of them has no more rights than the command', async () => {
    const { stdout } = await run([SH, '-c', 'ls -d /proc/[0-9]* | wc -l; grep CapBnd /proc/1/status']);
    const [count, bounding] = stdout.split('\n');
    assert.ok(Number(count) <= 5, stdout);
    assert.match(bounding ?? '', /00000000000404fb$/);
  });

  test('a descriptor of whoever called us is not handed on', async () => {
    const script = join(dir, 'caller.mjs');
    writeFileSync(
      script,
      `import { launchConfined } from ${JSON.stringify(new URL('./confined.ts', import.meta.url).href)};
       const options = ${JSON.stringify({ cwd: '/', rights: workloadRights(null, []), hidden: [], shared: [], hostname: 'reviews' })};
       launchConfined(${JSON.stringify(sandbox)}, ['ls', '/proc/self/fd'], { ...options, env: process.env });`,
    );
    const opened = `exec 9</run 200</run; exec "$0" "$@"`;
    const child = spawn('bash', ['-c', opened, process.execPath, script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let listed = '';
    child.stdout.on('data', (chunk: Buffer) => (listed += chunk));
    await new Promise((resolve) => child.once('close', resolve));
    assert.deepEqual(listed.trim().split('\n'), ['0', '1', '2', '3']); // 3 is the directory that ls reads
  });

  test('descriptors that are handed on are 3, 4 and so on, for the process that LISTEN_PID names', async () => {
    const [first, second] = [join(dir, 'first'), join(dir, 'second')];
    for (const path of [first, second]) writeFileSync(path, `${path}\n`);
    const descriptors = [openSync(first, 'r'), openSync(second, 'r')];
    const script =
      'cat <&3 <&4; echo "$LISTEN_FDS $LISTEN_FDNAMES"; test $LISTEN_PID = $$ && echo mine; ls /proc/self/fd | wc -l';
    const env = { ...process.env, LISTEN_FDS: '7', LISTEN_PID: '1', LISTEN_FDNAMES: 'a:b' };
    const { stdout, stderr } = await run([SH, '-c', script], { descriptors, env });
    assert.deepEqual([stdout, stderr], [`${second}\n2 a:b\nmine\n6\n`, '']);
    for (const descriptor of descriptors) closeSync(descriptor);
    assert.equal((await run([SH, '-c', 'echo "$LISTEN_FDS$LISTEN_PID$LISTEN_FDNAMES"'], { env })).stdout, '\n');
  });

  test('chosen variables have any value, and what they name is loaded by nothing that has more rights than the command', async () => {
    const chosen = {
      PATH: '/usr/bin:/bin',
      'odd.name': 'x',
      EUID: '7',
      QUOTES: `a'b"c$(id)\n;`,
      LD_PRELOAD: '/no-such-library.so',
    };
    const script =
      "process.stdout.write(JSON.stringify(process.env)); process.stdout.write(require('fs').readFileSync('/proc/1/environ'))";
    const { stdout, stderr } = await run([process.execPath, '-e', script], { chosen, env: { QUOTES: 'former' } });
    const [own = '', first = ''] = stdout.split('}');
    const found = JSON.parse(`${own}}`) as Record<string, string>;
    assert.deepEqual(Object.fromEntries(Object.keys(chosen).map((name) => [name, found[name]])), chosen);
    assert.equal(found.weft_chosen, undefined);
    assert.match(first, /QUOTES=former/);
    // One line for each program that it was loaded into: the shell's are builtins, so env and the command are all.
    assert.deepEqual([...new Set(stderr.trim().split('\n'))].length, 1, stderr);
    assert.ok(stderr.trim().split('\n').length <= 3, stderr);
  });

  test('the machine is called as the workload, here alone', async () => {
    const before = readFileSync('/proc/sys/kernel/hostname', 'utf8');
    assert.equal((await run(['uname', '-n'])).stdout, 'reviews\n');
    assert.equal(readFileSync('/proc/sys/kernel/hostname', 'utf8'), before);
  });

  test('limits hold for all that runs in the sandbox, and go with it', async () => {
    const limited = await node.sandboxes.create({ namespace: 'shop', name: 'limited' });
    const twins = limitCgroup(limited.cgroupPath, { memoryBytes: 32 * 2 ** 20, cpus: 0.2 });
    const rights = workloadRights(null, []);
    const options = { env: process.env, cwd: '/', rights, hidden: [], shared: [], hostname: 'x' };
    const within = async (argv: readonly string[]) =>
      ending(launchConfined({ ...limited, twins }, argv, { ...options, stdio: ['ignore', 'pipe', 'pipe'] }));
    const spin = 'const end = Date.now() + 600; while (Date.now() < end); console.log(process.cpuUsage().user / 1000)';
    const used = Number((await within([process.execPath, '-e', spin])).stdout);
    assert.ok(used > 0 && used < 300, `${used} ms of 600 ms`);
    assert.equal(oomKills(limited.cgroupPath), false);
    const eat = 'head -c 64m /dev/zero | tail'; // tail keeps a line to its end
    assert.notEqual((await within([SH, '-c', eat])).stderr, '');
    assert.equal(oomKills(limited.cgroupPath), true);
    await node.sandboxes.remove({ namespace: 'shop', name: 'limited' }, { killProcesses: true });
    assert.deepEqual(twins.filter(existsSync), []);
  });

  test('a terminal works: its name, Ctrl-C, and jobs of a shell', async () => {
    const script = join(dir, 'terminal.mjs');
    writeFileSync(
      script,
      `import { launchConfined } from ${JSON.stringify(new URL('./confined.ts', import.meta.url).href)};
       import { takeTerminalBack } from ${JSON.stringify(new URL('../confine/init.ts', import.meta.url).href)};
       const options = ${JSON.stringify({ cwd: '/', rights: workloadRights(null, []), hidden: [], shared: [], hostname: 'reviews' })};
       process.on('SIGINT', () => {});
       const command = launchConfined(${JSON.stringify(sandbox)}, process.argv.slice(2), { ...options, env: process.env });
       command.once('exit', (status) => {
         takeTerminalBack(0);
         process.exit(status);
       });`,
    );
    const inTerminal = (command: string, keys: string, when = /ready/) => {
      const line = `${process.execPath} ${script} ${command}`;
      const child = spawn('script', ['-qec', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
      let screen = '';
      child.stdout.on('data', (chunk: Buffer) => {
        screen += chunk;
        if (keys !== '' && when.test(screen)) {
          child.stdin.write(keys);
          keys = '';
        }
      });
      return new Promise<{ status: number | null; screen: string }>((resolve) =>
        child.once('close', (status) => resolve({ status, screen })),
      );
    };
    const named = await inTerminal(`sh -c "tty; echo x > /dev/tty; test -t 0 && exit 3"`, '');
    assert.deepEqual(named, { status: 3, screen: '/dev/console\r\nx\r\n' });
    assert.equal((await inTerminal(`sh -c "echo ready; exec sleep 1000"`, '\x03')).status, 130);
    // The job itself says when the key may come: bash that is just starting a job may lose it.
    const job = `sh -c 'echo ready; exec sleep 1000'`;
    const jobs = await inTerminal(`bash --norc -ic "${job}; echo status \\$?; exit 5"`, '\x03');
    assert.equal(jobs.status, 1, jobs.screen); // as bash does with its -c outside of a namespace
    assert.doesNotMatch(jobs.screen, /status/);
    const background = await inTerminal(`bash --norc -ic "set -m; sleep 0.1 & jobs; fg; exit 6"`, '');
    assert.equal(background.status, 6, background.screen);
    assert.doesNotMatch(background.screen, /no job control|cannot set terminal/);
    // A script that goes on after a shell in the namespace, which took the terminal and could not give it back.
    const after = `bash --norc -ic "echo shell"; read -r answer && echo "and then $answer"; exit 4`;
    const goingOn = await inTerminal(after, 'yes\r', /shell/);
    assert.deepEqual([goingOn.status, /and then yes/.test(goingOn.screen)], [4, true], goingOn.screen);
  });

  test('programs write where programs write, and not where the machine’s own are', async () => {
    const script = `
      for place in /tmp /var/tmp /run /dev/shm ${dir}; do echo x > $place/weft-written && rm $place/weft-written || echo "not $place"; done
      for place in /etc /usr /boot /usr/bin /proc/sys/kernel/hostname; do (echo x > $place/weft-written) 2>/dev/null && echo "wrote $place"; done; true`;
    assert.deepEqual(await run([SH, '-c', script]), { status: 0, stdout: '', stderr: '' });
  });

  test('what is hidden is empty, what is shared is as the machine has it', async () => {
    const [secret, mine] = [join(dir, 'secret'), join(dir, 'mine')];
    for (const path of [secret, mine]) {
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, 'file'), 'x');
    }
    mkdirSync('/etc/weft-test-shared', { recursive: true });
    try {
      const script = `ls ${secret}; cat ${mine}/file; echo y > /etc/weft-test-shared/written`;
      const { stdout } = await run([SH, '-c', script], { hidden: [secret], shared: ['/etc/weft-test-shared'] });
      assert.equal(stdout, 'x');
      assert.equal(readFileSync('/etc/weft-test-shared/written', 'utf8'), 'y\n');
    } finally {
      rmSync('/etc/weft-test-shared', { recursive: true });
    }
    assert.throws(
      () => start(['true'], { hidden: [secret], shared: [dir] }),
      (error) => error instanceof WeftError && error.code === 'WEFT_SHARE',
    );
  });

  test('the machine is as it was: its cgroups can be written, nothing is mounted', async () => {
    // Others on this machine mount too, but not here.
    const mounts = () =>
      readFileSync('/proc/self/mountinfo', 'utf8').match(/^.* (?:\/|\/(?:proc|sys|dev|usr|etc)\S*|\/run) .*$/gm);
    const before = mounts();
    await run(['true']);
    assert.deepEqual(mounts(), before);
    mkdirSync(join(node.options.cgroupRoot, 'probe'));
    rmdirSync(join(node.options.cgroupRoot, 'probe'));
  });

  test('a user has his own rights: he may write his own directory, and bind a low port', async () => {
    const rights = workloadRights(NOBODY, []);
    const script =
      "require('net').createServer().listen(80, () => { console.log(process.getuid(), process.env.HOME); process.exit(0); })";
    const program = existsSync('/usr/bin/node') ? '/usr/bin/node' : null;
    const { stdout } = await run([SH, '-c', 'id -u; id -G; cat /proc/self/status | grep CapEff'], { rights });
    assert.equal(stdout, '65534\n65534\nCapEff:\t0000000000000400\n');
    if (program !== null) assert.equal((await run([program, '-e', script], { rights })).stdout, '65534 /\n');
  });

  test('a view that cannot be given is told, with status 125', async () => {
    const { status, stderr } = await ending(
      launchConfined({ ...sandbox, resolvConfPath: '/nowhere' }, ['true'], {
        ...{ env: process.env, cwd: '/', rights: workloadRights(null, []), hidden: [], shared: [], hostname: 'x' },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    assert.equal(status, 125);
    assert.match(stderr, /weft: cannot give the command its view of the machine: mount .*\/nowhere/);
  });
});
