import { isWithin, lastingOptions, type Mount, namesOf } from './mounts.ts';

/** What a workload is not to see, and what of the machine it needs all the same. All paths are real: without symbolic links. */
export type ViewWishes = {
  /** Files and directories of the mesh: keys, tokens, sockets. */
  hidden: readonly string[];
  /** What programs outside run or read: whoever can change it leaves through them. */
  readOnly: readonly string[];
  /** Paths that stay as the machine has them. */
  shared: readonly string[];
  /** Sockets of the machine's services outside of /run. */
  sockets: readonly string[];
  resolvConf: { file: string; target: string };
  /** The terminal that the command is started from. */
  terminal: string | null;
};

/** A directory in the machine's /run: daemons expect the one that their package made. */
export type RunDirectory = { path: string; mode: number; uid: number; gid: number };

/** The machine, as far as the view depends on it. */
export type ViewFacts = {
  mounts: readonly Mount[];
  runDirectories: readonly RunDirectory[];
  /** Null: nothing is there. */
  kindOf: (path: string) => 'directory' | 'file' | null;
};

/** A program to run with its arguments, by its name. */
export type Step = readonly [program: 'mount' | 'umount' | 'mkdir' | 'touch' | 'cp' | 'ln' | 'install', ...args: string[]];

/** Where the new /run and /dev are put together before they take their places: /sys is replaced anyway. */
const STAGE = '/sys';
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'].map((name) => `/dev/${name}`);
/** Of the machine's /run: the log's sinks, and where some distributions keep every program. */
const RUN_KEPT = [
  ...['dev-log', 'socket', 'stdout'].map((name) => `/run/systemd/journal/${name}`),
  ...['/run/current-system', '/run/booted-system', '/run/wrappers', '/run/opengl-driver'],
];
const DEV_KEPT = ['/dev/shm', '/dev/mqueue', '/dev/hugepages', '/dev/log'];
/** File systems that are the kernel's own: where else they are mounted, they are out of sight. */
const KERNEL_TYPES = new Set(
  'cgroup cgroup2 bpf proc sysfs devtmpfs devpts debugfs tracefs securityfs configfs efivarfs pstore selinuxfs nsfs'.split(' '),
);
const REPLACED = ['/proc', '/sys', '/dev', '/run'];
const PROC_READ_ONLY = ['sys', 'sysrq-trigger', 'irq', 'bus', 'fs'].map((name) => `/proc/${name}`);
const PROC_HIDDEN = ['kcore', 'keys', 'timer_list', 'sched_debug', 'latency_stats', 'acpi', 'scsi', 'asound', 'kmsg'].map(
  (name) => `/proc/${name}`,
);
const SEALED = 'ro,nosuid,nodev,noexec';
const EMPTY = `${SEALED},size=4k,mode=555`;
/** Sub-options of a cgroup v1 mount that say how, not what. */
const NOT_CONTROLLERS = /^(rw|ro|xattr|noprefix|clone_children|cpuset_v2_mode|release_agent=.*)$/;

/**
 * What has to be done, in this order, in mount, process, network and cgroup namespaces of the workload's own, so that its
 * commands see no more of the machine than they may. It needs every right; what follows it must have none to undo it.
 */
export function planView(wishes: ViewWishes, facts: ViewFacts): Step[] {
  const secret = [...wishes.hidden, '/run'].flatMap((path) => namesOf(path, facts.mounts));
  const open = wishes.sockets.filter((path) => !wishes.shared.some((shared) => isWithin(path, shared)));
  const hidden = outermost([...secret, ...strayKernelMounts(facts), ...open].filter((path) => !isReplaced(path)));
  return [
    ['mount', '-t', 'proc', '-o', 'nosuid,nodev,noexec', 'proc', '/proc'],
    ['mount', '-t', 'tmpfs', '-o', 'mode=755', 'weft', STAGE],
    ...shareSteps(wishes.shared, facts),
    ...runSteps(wishes, facts),
    ...deviceSteps(wishes.terminal, facts),
    ...resolverSteps(wishes.resolvConf, '/run'),
    ...readOnlySteps(wishes.readOnly, facts),
    // Also let go of: a copy of a bpf file system would keep alive what is pinned there after its mesh is gone.
    ...strayKernelMounts(facts)
      .toReversed()
      .map((path): Step => ['umount', '-l', path]),
    ...hidingSteps(hidden, facts),
    ['mount', '--move', `${STAGE}/run`, '/run'],
    ['mount', '--move', `${STAGE}/dev`, '/dev'],
    ...wishes.shared.flatMap((path, at) => placeShared(path, at, facts)),
    ['umount', STAGE],
    ...sysSteps(facts),
    ...PROC_READ_ONLY.filter((path) => facts.kindOf(path) !== null).map(sealed),
    ...hidingSteps(PROC_HIDDEN, facts),
  ];
}

/**
 * The view of a waypoint: the machine without these directories, but for one of theirs that it needs. As `planView`, in a mount
 * namespace of its own.
 */
export function planCover(hidden: readonly string[], kept: string, facts: ViewFacts): Step[] {
  const covered = outermost(hidden.flatMap((path) => namesOf(path, facts.mounts))).filter(
    (path) => facts.kindOf(path) === 'directory',
  );
  // Shared memory is put out of its sight by the way.
  const stage = ['/dev/shm', '/mnt', '/tmp'].find((path) => facts.kindOf(path) === 'directory') ?? '/tmp';
  return [
    ['mount', '-t', 'tmpfs', '-o', 'nosuid,nodev,noexec,mode=700', 'weft', stage],
    ['mkdir', `${stage}/kept`],
    ['mount', '--bind', kept, `${stage}/kept`],
    ...covered.map((path): Step => ['mount', '-t', 'tmpfs', '-o', 'nosuid,nodev,noexec,mode=700', 'weft', path]),
    ['mkdir', '-p', kept],
    ['mount', '--move', `${stage}/kept`, kept],
    ...covered.map((path): Step => ['mount', '-o', `remount,${SEALED}`, path]),
  ];
}

/** What lies in a directory that is covered cannot be covered, nor needs it. */
function outermost(paths: readonly string[]): string[] {
  const all = [...new Set(paths)];
  return all.filter((path) => !all.some((other) => other !== path && isWithin(path, other)));
}

/** Whether a path lies where the workload has a directory of its own. */
export function isReplaced(path: string): boolean {
  return REPLACED.some((replaced) => isWithin(path, replaced));
}

/** Taken before anything is covered, put into place at the end. */
function shareSteps(shared: readonly string[], facts: ViewFacts): Step[] {
  return shared.flatMap((path, at) => bindSteps(path, `${STAGE}/shared-${at}`, facts));
}

function placeShared(path: string, at: number, facts: ViewFacts): Step[] {
  // Only /run and /dev are new; elsewhere its own place is there.
  const place = isReplaced(path) ? placeSteps(path, facts.kindOf(path)) : [];
  return facts.kindOf(path) === null ? [] : [...place, ['mount', '--move', `${STAGE}/shared-${at}`, path]];
}

function bindSteps(from: string, to: string, facts: ViewFacts): Step[] {
  const kind = facts.kindOf(from);
  return kind === null ? [] : [...placeSteps(to, kind), ['mount', '--rbind', from, to]];
}

/** Something to mount over. */
function placeSteps(path: string, kind: 'directory' | 'file' | null): Step[] {
  if (kind === 'directory') return [['mkdir', '-p', path]];
  return [
    ['mkdir', '-p', path.slice(0, path.lastIndexOf('/'))],
    ['touch', path],
  ];
}

/** An empty /run with the directories that packages made in it; sockets of the machine's services are not there. */
function runSteps({ resolvConf }: ViewWishes, facts: ViewFacts): Step[] {
  const run = `${STAGE}/run`;
  const groups = Map.groupBy(facts.runDirectories, ({ mode, uid, gid }) => `${mode.toString(8)} ${uid} ${gid}`);
  const directories = [...groups].map(([key, members]): Step => {
    const [mode = '', uid = '', gid = ''] = key.split(' ');
    return ['install', '-d', '-m', mode, '-o', uid, '-g', gid, ...members.map(({ path }) => `${STAGE}${path}`)];
  });
  return [
    ['mkdir', run, `${STAGE}/dev`],
    ['mount', '-t', 'tmpfs', '-o', 'nosuid,nodev,mode=755', 'run', run],
    ...directories,
    ['install', '-d', '-m', '1777', `${run}/lock`],
    ...RUN_KEPT.flatMap((path) => bindSteps(path, `${STAGE}${path}`, facts)),
    ...(isWithin(resolvConf.target, '/run') ? resolverSteps(resolvConf, STAGE) : []),
  ];
}

/** With '/run': the file where it is, unless it lies in /run; with the stage: that of the new /run. */
function resolverSteps({ file, target }: ViewWishes['resolvConf'], root: '/run' | typeof STAGE): Step[] {
  if (root === '/run') return isWithin(target, '/run') ? [] : [['mount', '--bind', '-o', 'ro', file, target]];
  return [...placeSteps(`${root}${target}`, 'file'), ['mount', '--bind', '-o', 'ro', file, `${root}${target}`]];
}

/** No disk, no memory, no terminal but its own. */
function deviceSteps(terminal: string | null, facts: ViewFacts): Step[] {
  const dev = `${STAGE}/dev`;
  const links = {
    ptmx: 'pts/ptmx',
    fd: '/proc/self/fd',
    stdin: '/proc/self/fd/0',
    stdout: '/proc/self/fd/1',
    stderr: '/proc/self/fd/2',
  };
  return [
    ['mount', '-t', 'tmpfs', '-o', 'nosuid,noexec,mode=755', 'dev', dev],
    ['cp', '-a', ...DEVICES, dev],
    ['mkdir', `${dev}/pts`],
    ['mount', '-t', 'devpts', '-o', 'newinstance,nosuid,noexec,ptmxmode=0666,mode=0620,gid=5', 'devpts', `${dev}/pts`],
    ...Object.entries(links).map(([name, target]): Step => ['ln', '-s', target, `${dev}/${name}`]),
    ...DEV_KEPT.flatMap((path) => bindSteps(path, `${STAGE}${path}`, facts)),
    // Under this name ttyname(3) finds it.
    ...(terminal === null ? [] : bindSteps(terminal, `${dev}/console`, { ...facts, kindOf: () => 'file' })),
  ];
}

/** The directories, and what is mounted below them. */
function readOnlySteps(paths: readonly string[], facts: ViewFacts): Step[] {
  return paths
    .filter((path) => facts.kindOf(path) !== null)
    .flatMap((path): Step[] => {
      const own = facts.mounts.findLast(({ point }) => point === path);
      const below = facts.mounts.filter(({ point }) => point !== path && isWithin(point, path));
      return [
        ['mount', '--rbind', '-o', ['ro', ...lastingOptions(own)].join(','), path, path],
        // A recursive bind takes them along, but is read-only itself alone.
        ...below
          .filter(({ type }) => !KERNEL_TYPES.has(type))
          .map((mount): Step => ['mount', '-o', ['remount', 'bind', 'ro', ...lastingOptions(mount)].join(','), mount.point]),
      ];
    });
}

function hidingSteps(paths: readonly string[], facts: ViewFacts): Step[] {
  return paths.flatMap((path): Step[] => {
    const kind = facts.kindOf(path);
    if (kind === null) return [];
    return kind === 'directory'
      ? [['mount', '-t', 'tmpfs', '-o', EMPTY, 'weft', path]]
      : [['mount', '--bind', '/dev/null', path]];
  });
}

function strayKernelMounts({ mounts }: ViewFacts): string[] {
  const stray = mounts.filter(({ type, point }) => KERNEL_TYPES.has(type) && !isReplaced(point));
  return [...new Set(stray.map(({ point }) => point))];
}

/** A fresh one has none of what is mounted below the machine's: cgroups, eBPF, debugging, tracing. */
function sysSteps({ mounts, kindOf }: ViewFacts): Step[] {
  const all = mounts.filter(({ type, point }) => type.startsWith('cgroup') && isWithin(point, '/sys/fs/cgroup'));
  // Of mounts over one another the last one is seen, and the kernel takes the same one but once.
  const cgroups = [...new Map(all.map((mount) => [mount.point, mount])).values()];
  const nested = cgroups.some(({ point }) => point !== '/sys/fs/cgroup');
  const top = '/sys/fs/cgroup';
  return [
    ['mount', '-t', 'sysfs', '-o', 'nosuid,nodev,noexec', 'sysfs', '/sys'],
    ...(nested ? [['mount', '-t', 'tmpfs', '-o', 'mode=755', 'cgroup', top] satisfies Step] : []),
    ...(nested ? [['mkdir', ...cgroups.map(({ point }) => point)] satisfies Step] : []),
    // Read-only by its mount alone: the file system is that of the machine.
    ...cgroups.map(
      ({ type, point, superOptions }): Step => [
        'mount',
        '-t',
        type,
        '-o',
        [SEALED, ...controllersOf(type, superOptions)].join(','),
        type,
        point,
      ],
    ),
    ...(nested ? [['mount', '-o', `remount,${SEALED}`, top] satisfies Step] : []),
    ['mount', '-o', `remount,bind,${SEALED}`, '/sys'],
    ...hidingSteps(['/sys/firmware'], { mounts, kindOf, runDirectories: [] }),
  ];
}

function controllersOf(type: string, superOptions: readonly string[]): string[] {
  if (type === 'cgroup2') return [];
  const names = superOptions.filter((option) => !NOT_CONTROLLERS.test(option));
  return names.every((name) => name.startsWith('name=')) ? ['none', ...names] : names;
}

function sealed(path: string): Step {
  return ['mount', '--bind', '-o', SEALED, path, path];
}
