// A workload that tries to leave: the mesh, its identity, its sandbox. Prints one JSON object: way → what came of it.
// Fixed by the kernel: numbers of calls on x86-64, and of what they are asked.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import {
  call,
  created,
  done,
  errorOf,
  everywhere,
  key,
  known,
  linkOf,
  listed,
  mount,
  mountpoints,
  raw,
  reached,
  run,
  umount2,
  way,
  ways,
  written,
} from './leaver-tools.ts';

// Another cgroup: connections from it are nobody's.
way('join the root of each cgroup mount', () => everywhere((point) => written(`${point}/cgroup.procs`, '0')));
way('join a thread to another cgroup', () =>
  everywhere((point) => written(`${point}/${existsSync(`${point}/tasks`) ? 'tasks' : 'cgroup.threads'}`, '0')),
);
way('make a cgroup', () => everywhere((point) => done(mkdirSync(`${point}/mine`))));
way('the own cgroup by its path outside', () => written(`${known.cgroup}/cgroup.procs`, '0'));
way('cgroups above the own', () => written(`${mountpoints.at(-1)}/../../../cgroup.procs`, '0'));
const mounted = (name: string, from: string, type: string | null, flags: number, to = known.scratch): void =>
  way(name, () => (mount(from, to, type, flags, null) < 0 ? errorOf() : done(umount2(to, 0))));
mounted('mount cgroup2', 'none', 'cgroup2', 0);
mounted('mount a bpf file system', 'none', 'bpf', 0);
mounted('mount proc', 'none', 'proc', 0);
mounted('mount a tmpfs', 'none', 'tmpfs', 0);
mounted('bind the root elsewhere', '/', null, 4096);
way('make cgroups writable again', () => (mount('', mountpoints.at(-1) ?? '', null, 32 | 4096, null) < 0 ? errorOf() : 'OPEN'));
for (const mask of ['/run', '/proc', '/sys', known.covered])
  way(`take the mask off ${mask.replace(known.covered, 'the directories of the mesh')}`, () => {
    if (umount2(mask, 2) < 0) return errorOf();
    return 'OPEN';
  });
call('open_tree: a copy of the root', 428, -100, '/', 1);
call('fsopen: a new file system', 430, 'tmpfs', 0);
call('mount_setattr', 442, -100, '/', 0, Buffer.alloc(32), 32);
call('pivot_root', 155, '/tmp', '/tmp');

// Namespaces.
call('a user namespace', 272, 0x10000000);
way('a user namespace by clone', () => run('unshare', '--fork', '--user', 'true'));
call('a user namespace by clone3', 435, Buffer.alloc(88), 88);
call('a network namespace', 272, 0x40000000);
call('a mount namespace', 272, 0x00020000);
call('a cgroup namespace', 272, 0x02000000);
way('enter a namespace by its name', () => done(openSync(known.netns, 'r')));
way('enter the namespaces of process 1', () => {
  const outcomes = ['mnt', 'net', 'cgroup', 'pid', 'user'].map((kind) => {
    const fd = openSync(`/proc/1/ns/${kind}`, 'r');
    return raw(308, 'int', fd, 'int', 0) < 0 ? errorOf() : 'OPEN';
  });
  return [...new Set(outcomes)].sort().join(' ');
});
way('nsenter into the agent', () => run('nsenter', '--target', String(known.agentPid), '--net', 'true'));

// Files and sockets of the mesh.
way('the authority’s key where it lies', () => key(known.stateDir));
way('the authority’s key by another mount', () => key(known.alias));
for (const root of ['/proc/1/root', '/proc/self/root', '/proc/thread-self/root'])
  way(`the authority’s key through ${root}`, () => key(`${root}${known.stateDir}`));
way('the authority’s key through every process’s root and directory', () => {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const link of ['root', 'cwd']) {
      try {
        if (key(`/proc/${pid}/${link}${known.stateDir}`) === 'OPEN') return 'OPEN';
      } catch {
        // that one is closed
      }
    }
  }
  return 'empty';
});
way('the authority’s key by its inode', () => {
  // struct file_handle of ext4: 8 bytes, inode and a generation that nobody asks for.
  const handle = Buffer.alloc(16);
  handle.writeUInt32LE(8, 0);
  handle.writeInt32LE(1, 4);
  handle.writeUInt32LE(known.keyInode, 8);
  const fd = raw(304, 'int', openSync('/', 'r'), 'void *', handle, 'int', 0);
  if (fd < 0) return errorOf();
  const text = Buffer.alloc(200);
  readSync(fd, text);
  return /PRIVATE KEY/.test(text.toString()) ? 'OPEN' : 'another file';
});
way('the node’s token', () => (readFileSync(known.token, 'utf8') === '' ? 'empty' : 'OPEN'));
way('the run directory', () => listed(known.runDir));
way('pinned maps', () => listed(known.bpffs));
way('pinned maps of the machine', () => listed('/sys/fs/bpf'));
for (const [name, path] of Object.entries(known.sockets)) way(`socket: ${name}`, () => reached(path));

// The kernel itself.
call('bpf: programs by number', 321, 11, Buffer.alloc(128), 128);
call('bpf: a map by number', 321, 14, Buffer.alloc(128), 128);
way('bpf: a map of its own', () => {
  const wanted = Buffer.alloc(128);
  [2, 4, 4, 1].forEach((value, at) => void wanted.writeUInt32LE(value, at * 4)); // an array of one number
  return raw(321, 'int', 0, 'void *', wanted, 'int', 128) < 0 ? errorOf() : 'OPEN';
});
way('watch the machine’s processors', () => {
  const event = Buffer.alloc(128);
  event.writeUInt32LE(1, 0); // a software event: the clock of processor 0
  event.writeUInt32LE(128, 4);
  return raw(298, 'void *', event, 'int', -1, 'int', 0, 'int', -1, 'long', 0) < 0 ? errorOf() : 'OPEN';
});
call('io_uring', 425, 8, Buffer.alloc(128));
call('userfaultfd', 323, 1);
call('keys of who started it', 250, 0, -3, 0);
call('add a key', 248, 'user', 'weft', 'x', 1, -3);
call('type into the terminal', 16, 0, 0x5412, Buffer.from('x'));
call('load a module', 175, Buffer.alloc(8), 8, '');
call('boot another kernel', 246, 0, 0, null, 0);
way('set the clock', () => {
  const change = Buffer.alloc(208);
  change.writeUInt32LE(0x1000, 0); // ADJ_MICRO: counts in what it counts in already
  return raw(159, 'void *', change) < 0 ? errorOf() : 'OPEN';
});
call('ports of the machine', 172, 3);
way('switches of the kernel', () => written('/proc/sys/net/ipv4/ip_forward', '1'));
way('what the kernel runs on a crash', () => written('/proc/sys/kernel/core_pattern', 'core'));
way('the magic key', () => written('/proc/sysrq-trigger', 'h'));
way('what the kernel runs on a new device', () => written('/sys/kernel/uevent_helper', '/tmp/x'));
way('memory of the kernel', () => (readFileSync('/proc/kcore', { flag: 'r' }).length === 0 ? 'empty' : 'OPEN'));
way('debugging and tracing', () => `${listed('/sys/kernel/debug')} ${listed('/sys/kernel/tracing')}`);

// Devices.
for (const device of ['mem', 'kmsg', 'kvm', 'loop0', 'vda', 'sda', 'fuse', 'net/tun'])
  way(`device ${device}`, () => done(openSync(`/dev/${device}`, 'r')));
call('make a block device', 133, `${known.scratch}/disk`, 0o060600, 0xfe00);

// Processes outside.
way('signal the agent', () => done(process.kill(known.agentPid, 0)));
way('signal every process', () => {
  process.kill(-1, 0);
  return 'OPEN';
});
call('trace the agent', 101, 16, known.agentPid, 0, 0);
call('a descriptor of the agent', 434, known.agentPid, 0);
way('memory of the agent', () => done(openSync(`/proc/${known.agentPid}/mem`, 'r')));
way('descriptors of who started it', () => {
  const targets = (pid: string): string[] => readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  const own = new Set([...targets('self'), '/dev/null']);
  return targets('1').every((target) => own.has(target)) ? 'its own only' : 'OPEN';
});

// The network.
call('a raw socket', 41, 2, 3, 1);
call('a packet socket', 41, 17, 3, 0x300);
call('a socket of the hypervisor', 41, 40, 1, 0);
call('a reliable datagram socket', 41, 21, 5, 0);
call('shared memory communications', 41, 43, 1, 0);
call('shared memory communications under TCP', 41, 2, 1, 256);
call('a socket of the kernel’s ciphers', 41, 38, 5, 0);
way('an address of a neighbour', () => run('ip', 'address', 'add', '10.41.99.99/32', 'dev', 'eth0'));
way('another link address', () => run('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99'));
way('another route', () => run('ip', 'route', 'add', '192.0.2.0/24', 'dev', 'eth0'));
way('a tunnel', () => run('ip', 'link', 'add', 'out', 'type', 'ipip', 'remote', '192.0.2.1', 'local', '192.0.2.2'));
way('a mark that routes otherwise', () => {
  const fd = raw(41, 'int', 2, 'int', 1, 'int', 0);
  return raw(54, 'int', fd, 'int', 1, 'int', 36, 'void *', Buffer.from([1, 0, 0, 0]), 'int', 4) < 0 ? errorOf() : 'OPEN';
});
way('a foreign source address', () => {
  const fd = raw(41, 'int', 2, 'int', 1, 'int', 0);
  return raw(54, 'int', fd, 'int', 0, 'int', 19, 'void *', Buffer.from([1, 0, 0, 0]), 'int', 4) < 0 ? errorOf() : 'OPEN';
});

// Programs that run outside.
for (const path of [
  '/etc/cron.d/weft',
  '/etc/ld.so.preload.weft',
  '/usr/bin/weft-way',
  '/boot/weft',
  `${known.weft}/src/weft-way`,
  `${known.weft}/bin/weft-way`,
])
  way(`write ${path.replace(known.weft, 'weft')}`, () => created(path));
way('a job of root', () => created('/var/spool/cron/crontabs/weft'));
way('a set-user-id program', () => {
  const { stdout } = spawnSync(known.setuid, ['-u'], { encoding: 'utf8' });
  return process.getuid?.() === 0 ? 'root already' : stdout.trim() === '0' ? 'OPEN' : 'no more than the user';
});
way('capabilities for a program', () => {
  const program = `${known.scratch}/program`;
  writeFileSync(program, 'x');
  chmodSync(program, 0o755);
  const value = Buffer.from('0100000200200000000000000000000000000000', 'hex'); // version 2, effective, NET_RAW
  return raw(188, 'str', program, 'str', 'security.capability', 'void *', value, 'long', 20, 'int', 0) < 0 ? errorOf() : 'OPEN';
});
way('all capabilities by capset', () => {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x20080522, 0);
  return raw(126, 'void *', header, 'void *', Buffer.alloc(24, 0xff)) < 0 ? errorOf() : 'OPEN';
});

// Last: it changes what every path means.
way('the way out of a chroot', () => {
  const jail = `${known.scratch}/jail`;
  mkdirSync(jail, { recursive: true });
  const outside = openSync('/', 'r');
  raw(161, 'str', jail);
  raw(81, 'int', outside);
  for (let up = 0; up < 20; up += 1) raw(80, 'str', '..');
  raw(161, 'str', '.');
  return key(known.stateDir);
});

const outcomes: Record<string, string> = {};
const only = process.argv.slice(3);
for (const [name, attempt] of Object.entries(ways)) {
  if (only.length > 0 && !only.includes(name)) continue;
  try {
    outcomes[name] = await attempt();
  } catch (error) {
    outcomes[name] = (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
process.stdout.write(`${JSON.stringify(outcomes)}\n`, () => process.exit(0));
