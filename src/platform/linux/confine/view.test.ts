import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMountinfo } from './mounts.ts';
import { planCover, planView, type Step, type ViewFacts, type ViewWishes } from './view.ts';

const V2 = `22 27 0:21 / /proc rw - proc proc rw
23 27 0:22 / /sys rw - sysfs sysfs rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 23 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
29 23 0:31 / /sys/fs/bpf rw - bpf bpf rw,mode=700
30 27 0:32 / /run rw,nosuid - tmpfs tmpfs rw`;
const HYBRID = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct,xattr
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd,release_agent=/lib/x
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
42 27 0:38 / /mnt/cg rw - cgroup2 cgroup2 rw
43 27 0:39 / /tmp/lab/bpf rw - bpf lab rw
44 27 254:0 / /srv/chroot rw - ext4 /dev/vda rw
45 44 0:6 / /srv/chroot/dev rw - devtmpfs devtmpfs rw`;

const WISHES: ViewWishes = {
  hidden: ['/var/lib/weft'],
  readOnly: ['/usr', '/etc'],
  shared: [],
  sockets: [],
  resolvConf: { file: '/run/weft/n/x.resolv.conf', target: '/etc/resolv.conf' },
  terminal: null,
};

/** A machine on which everything is there; what ends with a dot or a known file name is a file. */
function facts(mountinfo: string, missing: readonly string[] = []): ViewFacts {
  return {
    mounts: parseMountinfo(mountinfo),
    runDirectories: [
      { path: '/run/postgresql', mode: 0o2775, uid: 5, gid: 6 },
      { path: '/run/sshd', mode: 0o755, uid: 0, gid: 0 },
      { path: '/run/log', mode: 0o755, uid: 0, gid: 0 },
    ],
    kindOf: (path) => {
      if (missing.some((gone) => path.startsWith(gone))) return null;
      return /(\.\w+|kcore|keys|timer_list|sched_debug|latency_stats|kmsg|trigger|dev-log|socket|stdout|\/log)$/.test(path)
        ? 'file'
        : 'directory';
    },
  };
}

const lines = (plan: readonly Step[]): string[] => plan.map((step) => step.join(' '));
const planned = (wishes: Partial<ViewWishes>, machine: ViewFacts): string[] => lines(planView({ ...WISHES, ...wishes }, machine));
/** Where in the plan a line is that matches. */
function at(plan: readonly string[], pattern: RegExp): number {
  const found = plan.findIndex((line) => pattern.test(line));
  assert.notEqual(found, -1, `nothing matches ${pattern} in\n${plan.join('\n')}`);
  return found;
}
function inOrder(plan: readonly string[], ...patterns: RegExp[]): void {
  const places = patterns.map((pattern) => at(plan, pattern));
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
    plan.join('\n'),
  );
}
const EMPTY = 'mount -t tmpfs -o ro,nosuid,nodev,noexec,size=4k,mode=555 weft';

test('every part of the machine that is the kernel’s is new, and put together before it takes its place', () => {
  const plan = planned({}, facts(V2));
  inOrder(
    plan,
    /^mount -t proc .* \/proc$/,
    /weft \/sys$/,
    /run \/sys\/run$/,
    /dev \/sys\/dev$/,
    /--move \/sys\/run \/run$/,
    /--move \/sys\/dev \/dev$/,
    /^umount \/sys$/,
    /-t sysfs/,
  );
  inOrder(plan, /-t sysfs .* \/sys$/, /-t cgroup2 -o ro,.* \/sys\/fs\/cgroup$/, /remount,bind,ro,.* \/sys$/);
  assert.ok(!plan.some((line) => line.includes('/sys/fs/bpf')), 'a fresh sysfs has no bpf file system to hide');
});

test('the resolv.conf of the sandbox is taken before the run directory goes out of sight', () => {
  inOrder(planned({}, facts(V2)), /--bind -o ro \/run\/weft\/n\/x.resolv.conf \/etc\/resolv.conf/, /--move \/sys\/run \/run/);
  const linked = planned({ resolvConf: { ...WISHES.resolvConf, target: '/run/systemd/resolve/stub-resolv.conf' } }, facts(V2));
  inOrder(
    linked,
    /touch \/sys\/run\/systemd\/resolve\/stub-resolv.conf/,
    /--bind -o ro .* \/sys\/run\/systemd\/resolve\/stub-resolv.conf/,
    /--move \/sys\/run/,
  );
});

test('daemons find their directories in /run, with owner and mode', () => {
  const plan = planned({}, facts(V2));
  at(plan, /^install -d -m 2775 -o 5 -g 6 \/sys\/run\/postgresql$/);
  at(plan, /^install -d -m 755 -o 0 -g 0 \/sys\/run\/sshd \/sys\/run\/log$/);
});

test('what is hidden is so under every name, once, and not below what is hidden', () => {
  const plan = planned({ hidden: ['/var/lib/weft', '/var/lib/weft/keys', '/root/token.txt'] }, facts(HYBRID));
  for (const path of ['/var/lib/weft', '/srv/chroot/var/lib/weft', '/srv/chroot/run']) at(plan, new RegExp(`^${EMPTY} ${path}$`));
  for (const path of ['/root/token.txt', '/srv/chroot/root/token.txt']) at(plan, new RegExp(`^mount --bind /dev/null ${path}$`));
  assert.ok(!plan.some((line) => line.includes('/var/lib/weft/keys')));
});

test('what is not there is not covered', () => {
  const plan = planned({}, facts(V2, ['/var/lib/weft', '/proc/scsi', '/boot']));
  assert.ok(!plan.some((line) => /\/var\/lib\/weft|\/proc\/scsi/.test(line)));
});

test('each cgroup mount is there again, read-only, with its controllers; elsewhere the kernel’s file systems are hidden', () => {
  const plan = planned({}, facts(HYBRID));
  inOrder(
    plan,
    /^mount -t tmpfs -o mode=755 cgroup \/sys\/fs\/cgroup$/,
    /^mkdir \/sys\/fs\/cgroup\/cpu,cpuacct \/sys\/fs\/cgroup\/systemd \/sys\/fs\/cgroup\/unified$/,
    /^mount -t cgroup -o ro,nosuid,nodev,noexec,cpu,cpuacct cgroup \/sys\/fs\/cgroup\/cpu,cpuacct$/,
    /^mount -t cgroup -o ro,nosuid,nodev,noexec,none,name=systemd cgroup \/sys\/fs\/cgroup\/systemd$/,
    /^mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup2 \/sys\/fs\/cgroup\/unified$/,
    /^mount -o remount,ro,nosuid,nodev,noexec \/sys\/fs\/cgroup$/,
  );
  for (const path of ['/mnt/cg', '/tmp/lab/bpf', '/srv/chroot/dev'])
    inOrder(plan, new RegExp(`^umount -l ${path}$`), new RegExp(`^${EMPTY} ${path}$`));
});

test('of cgroup mounts over one another one is there again: the kernel refuses the second', () => {
  const plan = planned({}, facts(`${HYBRID}\n46 41 0:38 /part /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`));
  assert.equal(plan.filter((line) => /^mount .*cgroup2 \/sys\/fs\/cgroup\/unified$/.test(line)).length, 1);
});

test('programs and settings are read-only with what is mounted below them, and keep their other options', () => {
  const machine = facts(
    `${V2}\n60 27 8:1 / /usr rw,nodev,relatime - ext4 /dev/sda1 rw\n61 60 8:2 / /usr/local rw,nosuid - ext4 /dev/sda2 rw`,
  );
  inOrder(
    planned({}, machine),
    /^mount --rbind -o ro,nodev,relatime \/usr \/usr$/,
    /^mount -o remount,bind,ro,nosuid \/usr\/local$/,
    /^mount --rbind -o ro \/etc \/etc$/,
  );
});

test('what is shared is taken before anything is covered, and put into place last', () => {
  const plan = planned({ shared: ['/run/php', '/etc/app'] }, facts(V2));
  inOrder(
    plan,
    /--rbind \/run\/php \/sys\/shared-0$/,
    /--rbind -o ro \/etc \/etc$/,
    /--move \/sys\/run \/run$/,
    /^mkdir -p \/run\/php$/,
    /--move \/sys\/shared-0 \/run\/php$/,
    /--move \/sys\/shared-1 \/etc\/app$/,
    /^umount \/sys$/,
  );
});

test('sockets of the machine are covered, shared ones not', () => {
  const plan = planned({ sockets: ['/tmp/tmux.sock', '/tmp/db.sock'], shared: ['/tmp/db.sock'] }, facts(V2));
  at(plan, /^mount --bind \/dev\/null \/tmp\/tmux.sock$/);
  assert.ok(!plan.includes('mount --bind /dev/null /tmp/db.sock'));
});

test('the terminal has the name under which programs look for it', () => {
  at(planned({ terminal: '/dev/pts/3' }, facts(V2)), /^mount --rbind \/dev\/pts\/3 \/sys\/dev\/console$/);
  assert.ok(!planned({}, facts(V2)).some((line) => line.includes('console')));
});

test('no device but those that hold nothing', () => {
  const plan = planned({}, facts(V2));
  at(plan, /^cp -a \/dev\/null \/dev\/zero \/dev\/full \/dev\/random \/dev\/urandom \/dev\/tty \/sys\/dev$/);
  at(plan, /-t devpts -o newinstance/);
});

test('what turns the kernel’s screws is read-only, what shows its memory hidden', () => {
  const plan = planned({}, facts(V2));
  for (const path of ['/proc/sys', '/proc/sysrq-trigger'])
    at(plan, new RegExp(`^mount --bind -o ro,nosuid,nodev,noexec ${path} ${path}$`));
  for (const path of ['/proc/kcore', '/proc/keys']) at(plan, new RegExp(`^mount --bind /dev/null ${path}$`));
});

test('a waypoint sees one directory of those that are covered, and the others under no name', () => {
  const plan = lines(planCover(['/var/lib/weft', '/run/weft', '/run/weft/n'], '/run/weft/waypoints', facts(HYBRID)));
  inOrder(
    plan,
    /^mount --bind \/run\/weft\/waypoints \/dev\/shm\/kept$/,
    /^mount -t tmpfs .* weft \/run\/weft$/,
    /^mkdir -p \/run\/weft\/waypoints$/,
    /^mount --move \/dev\/shm\/kept \/run\/weft\/waypoints$/,
    /^mount -o remount,ro,.* \/run\/weft$/,
  );
  for (const path of ['/var/lib/weft', '/srv/chroot/var/lib/weft', '/srv/chroot/run/weft'])
    at(plan, new RegExp(`^mount -t tmpfs .* weft ${path}$`));
});
