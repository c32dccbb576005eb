import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { labPaths } from '#testbed/lab/parts.ts';
import { nodeOf } from '#testbed/nodes/plan.ts';
import { type CommandResult, command, tryCommand } from '#testbed/processes/command.ts';
import { asHost, REPO_ROOT, weft } from '#testbed/processes/command-lines.ts';
import type { Known } from './apps/leaver-tools.ts';
import { AttackedMesh } from './mesh.testing.ts';

const LEAVER = new URL('./apps/leaver.ts', import.meta.url).pathname;
const RUN_MS = 60_000;

type Outcomes = Record<string, string>;

/** Of root: each way, what it fails with, and what stands in it. */
const HELD: Readonly<Record<string, readonly [outcome: RegExp, why: string]>> = {
  'join the root of each cgroup mount': [/^EROFS$/, 'mounts of cgroups are read-only'],
  'join a thread to another cgroup': [/^EROFS$/, 'mounts of cgroups are read-only'],
  'make a cgroup': [/^EROFS$/, 'mounts of cgroups are read-only'],
  'the own cgroup by its path outside': [/^ENOENT$/, 'a cgroup namespace begins at its own'],
  'cgroups above the own': [/^ENOENT$/, 'a cgroup namespace begins at its own'],
  'mount cgroup2': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'mount a bpf file system': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'mount proc': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'mount a tmpfs': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'bind the root elsewhere': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'make cgroups writable again': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'take the mask off /run': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'take the mask off /proc': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'take the mask off /sys': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'take the mask off the directories of the mesh': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'open_tree: a copy of the root': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'fsopen: a new file system': [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  mount_setattr: [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  pivot_root: [/^EPERM$/, 'mounting needs SYS_ADMIN'],
  'a user namespace': [/^EPERM$/, 'the call is refused'],
  'a user namespace by clone': [/^EPERM$/, 'the call is refused'],
  'a user namespace by clone3': [/^ENOSYS$/, 'the call is not there'],
  'a network namespace': [/^EPERM$/, 'needs SYS_ADMIN'],
  'a mount namespace': [/^EPERM$/, 'needs SYS_ADMIN'],
  'a cgroup namespace': [/^EPERM$/, 'needs SYS_ADMIN'],
  'enter a namespace by its name': [/^ENOENT$/, '/run is its own'],
  'enter the namespaces of process 1': [/^EINVAL EPERM$/, 'they are its own, and entering needs SYS_ADMIN'],
  'nsenter into the agent': [/^failed: .*No such file or directory$/, 'processes outside are not in sight'],
  'the authority’s key where it lies': [/^ENOENT$/, 'the state directory is covered under every name'],
  'the authority’s key by another mount': [/^empty$/, 'the state directory is covered under every name'],
  'the authority’s key through /proc/1/root': [/^ENOENT$/, 'the state directory is covered under every name'],
  'the authority’s key through /proc/self/root': [/^ENOENT$/, 'the state directory is covered under every name'],
  'the authority’s key through /proc/thread-self/root': [/^ENOENT$/, 'the state directory is covered under every name'],
  'the authority’s key through every process’s root and directory': [
    /^empty$/,
    'the state directory is covered under every name',
  ],
  'the authority’s key by its inode': [/^EPERM$/, 'opening by handle needs DAC_READ_SEARCH'],
  'the way out of a chroot': [/^ENOENT$/, 'what is outside of it is the covered machine'],
  'the node’s token': [/^ENOENT$/, 'it is covered'],
  'the run directory': [/^ENOENT$/, 'it is covered'],
  'pinned maps': [/^ENOENT$/, 'every bpf file system is covered'],
  'pinned maps of the machine': [/^empty$/, '/sys is its own'],
  'socket: a service of the machine in /run': [/^ENOENT$/, '/run is its own'],
  'socket: a service of the machine elsewhere': [/^ECONNREFUSED$/, 'it is covered'],
  'socket: a service of the machine without a file': [/^ECONNREFUSED$/, 'it belongs to the network namespace outside'],
  'socket: the agent': [/^ENOENT$/, 'the run directory is covered'],
  'socket: the control plane': [/^ENOENT$/, 'the run directory is covered'],
  'bpf: programs by number': [/^EPERM$/, 'the call is refused'],
  'bpf: a map by number': [/^EPERM$/, 'the call is refused'],
  'bpf: a map of its own': [/^EPERM$/, 'the call is refused'],
  'watch the machine’s processors': [/^EPERM$/, 'the call is refused'],
  io_uring: [/^EPERM$/, 'the call is refused'],
  userfaultfd: [/^EPERM$/, 'the call is refused'],
  'keys of who started it': [/^EPERM$/, 'the call is refused'],
  'add a key': [/^EPERM$/, 'the call is refused'],
  'type into the terminal': [/^EPERM$/, 'the call is refused'],
  'load a module': [/^(EPERM|ENOSYS)$/, 'needs SYS_MODULE'],
  'boot another kernel': [/^(EPERM|ENOSYS)$/, 'needs SYS_BOOT'],
  'set the clock': [/^EPERM$/, 'needs SYS_TIME'],
  'ports of the machine': [/^(EPERM|ENOSYS)$/, 'needs SYS_RAWIO'],
  'switches of the kernel': [/^EROFS$/, '/proc/sys is read-only'],
  'what the kernel runs on a crash': [/^EROFS$/, '/proc/sys is read-only'],
  'the magic key': [/^(EROFS|ENOENT)$/, 'it is read-only'],
  'what the kernel runs on a new device': [/^(EROFS|ENOENT)$/, '/sys is read-only'],
  'memory of the kernel': [/^(empty|ENOENT)$/, 'it is covered'],
  'debugging and tracing': [/^empty empty$/, '/sys is its own'],
  'device mem': [/^ENOENT$/, '/dev is its own'],
  'device kmsg': [/^ENOENT$/, '/dev is its own'],
  'device kvm': [/^ENOENT$/, '/dev is its own'],
  'device loop0': [/^ENOENT$/, '/dev is its own'],
  'device vda': [/^ENOENT$/, '/dev is its own'],
  'device sda': [/^ENOENT$/, '/dev is its own'],
  'device fuse': [/^ENOENT$/, '/dev is its own'],
  'device net/tun': [/^ENOENT$/, '/dev is its own'],
  'make a block device': [/^EPERM$/, 'needs MKNOD'],
  'signal the agent': [/^ESRCH$/, 'processes outside are not in sight'],
  'signal every process': [/^ESRCH$/, 'there is none but its own'],
  'trace the agent': [/^ESRCH$/, 'processes outside are not in sight'],
  'a descriptor of the agent': [/^ESRCH$/, 'processes outside are not in sight'],
  'memory of the agent': [/^ENOENT$/, 'processes outside are not in sight'],
  'descriptors of who started it': [/^its own only$/, 'none is handed on'],
  'a raw socket': [/^EPERM$/, 'needs NET_RAW'],
  'a packet socket': [/^EAFNOSUPPORT$/, 'the family is refused'],
  'a socket of the hypervisor': [/^EAFNOSUPPORT$/, 'the family is refused'],
  'a reliable datagram socket': [/^EAFNOSUPPORT$/, 'the family is refused'],
  'shared memory communications': [/^EAFNOSUPPORT$/, 'the family is refused'],
  'shared memory communications under TCP': [/^EPROTONOSUPPORT$/, 'the protocol is refused'],
  'a socket of the kernel’s ciphers': [/^EAFNOSUPPORT$/, 'the family is refused'],
  'an address of a neighbour': [/^EPERM$/, 'needs NET_ADMIN'],
  'another link address': [/^EPERM$/, 'needs NET_ADMIN'],
  'another route': [/^EPERM$/, 'needs NET_ADMIN'],
  'a tunnel': [/^EPERM$/, 'needs NET_ADMIN'],
  'a mark that routes otherwise': [/^EPERM$/, 'needs NET_ADMIN'],
  'a foreign source address': [/^EPERM$/, 'needs NET_ADMIN'],
  'write /etc/cron.d/weft': [/^EROFS$/, 'what runs outside is read-only'],
  'write /etc/ld.so.preload.weft': [/^EROFS$/, 'what runs outside is read-only'],
  'write /usr/bin/weft-way': [/^EROFS$/, 'what runs outside is read-only'],
  'write /boot/weft': [/^EROFS$/, 'what runs outside is read-only'],
  'write weft/src/weft-way': [/^EROFS$/, 'what runs outside is read-only'],
  'write weft/bin/weft-way': [/^EROFS$/, 'what runs outside is read-only'],
  'a job of root': [/^(EROFS|ENOENT)$/, 'jobs of the machine are read-only'],
  'a set-user-id program': [/^root already$/, 'gives nothing: no_new_privs'],
  'capabilities for a program': [/^EPERM$/, 'needs SETFCAP'],
  'all capabilities by capset': [/^EPERM$/, 'the bounding set is cut'],
};

// The attacker calls the kernel by its numbers on x86-64.
describe('a workload that tries to leave', { skip: process.arch !== 'x64' }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-leave-'));
  const serviceDir = mkdtempSync('/run/weft-leave-');
  const servers: Server[] = [];
  let mesh: AttackedMesh;
  let known: Known;
  before(async () => {
    chmodSync(dir, 0o755);
    mesh = await AttackedMesh.up({});
    const { stateDir, meshRunDir, agentSocket, controlSocket, tokenFile } = labPaths(mesh.plan);
    const sockets = {
      'a service of the machine in /run': join(serviceDir, 'docker.sock'),
      'a service of the machine elsewhere': join(dir, 'supervisor.sock'),
      'a service of the machine without a file': `\0weft-leave-${process.pid}`,
    };
    for (const path of Object.values(sockets)) {
      const server = createServer((socket) => socket.destroy()).listen(path);
      await new Promise((resolve) => server.once('listening', resolve));
      servers.push(server);
    }
    for (const name of ['alias', 'scratch']) mkdirSync(join(dir, name), { mode: 0o777 });
    chmodSync(join(dir, 'scratch'), 0o777);
    await command(['mount', '-n', '--bind', stateDir, join(dir, 'alias')]);
    copyFileSync('/usr/bin/id', join(dir, 'id'));
    chmodSync(join(dir, 'id'), 0o4755);
    known = {
      ...{
        stateDir,
        alias: join(dir, 'alias'),
        runDir: meshRunDir,
        covered: mesh.plan.runDir,
        bpffs: mesh.plan.bpffsMount,
        token: tokenFile('alpha'),
      },
      sockets: { ...sockets, 'the agent': agentSocket('alpha'), 'the control plane': controlSocket },
      agentPid: mesh.lab.agent('alpha').pid,
      cgroup: join(nodeOf(mesh.plan, 'alpha').cgroup, 'workloads/attacks.leaver'),
      netns: `/run/netns/${nodeOf(mesh.plan, 'alpha').netns}`,
      ...{ setuid: join(dir, 'id'), weft: REPO_ROOT.replace(/\/$/, ''), scratch: join(dir, 'scratch') },
      keyInode: statSync(keyIn(stateDir)).ino,
    };
  });
  after(async () => {
    for (const server of servers) server.close();
    await tryCommand(['umount', '-n', join(dir, 'alias')]);
    for (const path of [dir, serviceDir]) rmSync(path, { recursive: true, force: true });
    await mesh?.down();
  });

  const attempt = (program: readonly string[], options: readonly string[] = []): Promise<CommandResult> => {
    const identity = ['--name', 'leaver', '--namespace', 'attacks', '--service-account', 'leaver'];
    const line = weft(
      'run',
      ...['--user', 'root'],
      ...identity,
      '--agent-socket',
      labPaths(mesh.plan).agentSocket('alpha'),
      ...options,
      '--',
      ...program,
    );
    return tryCommand(asHost(mesh.plan, line), RUN_MS);
  };

  /** What came of each way, or of those in `only`, for a workload started with these options. */
  const leave = async (options: readonly string[], only: readonly string[] = []): Promise<Outcomes> => {
    const { code, stdout, stderr } = await attempt([process.execPath, LEAVER, JSON.stringify(known), ...only], options);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Outcomes;
  };

  let root: Outcomes;
  let user: Outcomes;
  before(async () => {
    root = await leave([]);
    user = await leave(['--user', 'nobody']);
  });

  for (const [way, [outcome, why]] of Object.entries(HELD)) {
    test(`S5: ${way}: ${why}`, () => {
      assert.match(root[way] ?? 'not tried', outcome);
      assert.doesNotMatch(user[way] ?? 'not tried', /OPEN|not tried/);
    });
  }

  test('S5: every way that is tried is judged', () => assert.deepEqual(Object.keys(root).sort(), Object.keys(HELD).sort()));

  test('S5: a set-user-id program of root: gives another user nothing', () =>
    assert.equal(user['a set-user-id program'], 'no more than the user'));

  const given: readonly { capability: string; open: readonly string[]; held: Readonly<Record<string, string>> }[] = [
    {
      capability: 'NET_RAW',
      open: ['a raw socket', 'a packet socket'],
      held: { 'a socket of the hypervisor': 'EAFNOSUPPORT', 'a tunnel': 'EPERM' },
    },
    {
      capability: 'NET_ADMIN',
      open: ['an address of a neighbour', 'another link address', 'a mark that routes otherwise'],
      held: { 'a raw socket': 'EPERM', 'mount cgroup2': 'EPERM', 'switches of the kernel': 'EROFS' },
    },
    {
      capability: 'SYS_PTRACE',
      open: ['userfaultfd'],
      held: { 'trace the agent': 'ESRCH', 'memory of the agent': 'ENOENT', 'the authority’s key through /proc/1/root': 'ENOENT' },
    },
    {
      capability: 'BPF',
      open: ['bpf: a map of its own'],
      held: { 'bpf: programs by number': 'EPERM', 'bpf: a map by number': 'EPERM', 'pinned maps': 'ENOENT' },
    },
    { capability: 'PERFMON', open: ['watch the machine’s processors'], held: { 'bpf: a map of its own': 'EPERM' } },
    { capability: 'MKNOD', open: ['make a block device'], held: { 'mount cgroup2': 'EPERM' } },
    { capability: 'SETFCAP', open: ['capabilities for a program'], held: { 'a raw socket': 'EPERM' } },
    { capability: 'SYS_TIME', open: ['set the clock'], held: { 'mount cgroup2': 'EPERM' } },
    {
      capability: 'SYS_ADMIN',
      open: [
        'mount cgroup2',
        'a user namespace by clone',
        'take the mask off the directories of the mesh',
        'the authority’s key where it lies',
      ],
      held: { 'trace the agent': 'ESRCH', 'a raw socket': 'EPERM' },
    },
  ];
  for (const { capability, open, held } of given) {
    test(`S5: with ${capability}: opens what docs/capabilities.md says, and nothing else`, async () => {
      const outcomes = await leave(['--cap-add', capability], [...open, ...Object.keys(held)]);
      assert.deepEqual(outcomes, { ...Object.fromEntries(open.map((way) => [way, 'OPEN'])), ...held });
    });
  }

  test('S5: with DAC_READ_SEARCH: opens the authority’s key by its inode, where the file system is ext4', async (context) => {
    const way = 'the authority’s key by its inode';
    if ((await command(['stat', '-f', '-c', '%T', known.stateDir])).trim() !== 'ext2/ext3')
      return context.skip('the state directory is not on ext4');
    assert.deepEqual(await leave(['--cap-add', 'DAC_READ_SEARCH'], [way]), { [way]: 'OPEN' });
  });

  test('S5: two workloads of one user: neither sees the other', async () => {
    const echo = await mesh.echo('neighbour', 'alpha');
    const { stdout, code } = await attempt([
      'sh',
      '-c',
      `cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o '[b]ookshop/echo.ts'; kill -0 ${echo.pid}`,
    ]);
    assert.deepEqual([stdout, code], ['', 1]);
    assert.equal(echo.child.ending(), null);
  });

  test('S5: ordinary programs: run as outside', async () => {
    const script = `set -e
      python3 -c 'import socket, threading, subprocess, tempfile, multiprocessing
with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))
print(subprocess.check_output(["id", "-u"]).decode().strip(), tempfile.TemporaryFile().write(b"x"))
server = socket.create_server(("0.0.0.0", 80)); print(server.getsockname()[1])'
      bash -c 'echo $((6 * 7)); exec 5<>/dev/tcp/127.0.0.1/15021 || true' 2>/dev/null
      curl -sS -m 2 http://127.0.0.1:9/ 2>/dev/null || echo "curl $?"
      su -s /bin/sh nobody -c 'id -un'
      echo x > /dev/shm/weft-leave && rm /dev/shm/weft-leave
      mktemp -u > /dev/null; df / > /dev/null; ps > /dev/null; nproc > /dev/null; logger x || true`;
    const { code, stdout, stderr } = await attempt(['sh', '-c', script]);
    assert.deepEqual([code, stdout.trim().split('\n')], [0, ['[1, 2]', '0 1', '80', '42', 'curl 7', 'nobody']], stderr);
  });

  test('S5: the agent and the machine: are as they were', async () => {
    assert.equal((await mesh.status('alpha')).pid, known.agentPid);
    assert.ok(readFileSync('/proc/self/mountinfo', 'utf8').includes(mesh.plan.bpffsMount));
  });
});

function keyIn(stateDir: string): string {
  const name = readdirSync(stateDir, { recursive: true, encoding: 'utf8' }).find((name) => {
    const path = join(stateDir, name);
    return statSync(path).isFile() && /PRIVATE KEY/.test(readFileSync(path, 'utf8'));
  });
  return join(stateDir, name ?? assert.fail('the authority has no key'));
}
