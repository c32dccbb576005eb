import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { isWithin, namesOf, parseMountinfo } from './mounts.ts';
import type { RunDirectory, ViewFacts, ViewWishes } from './view.ts';

/** What configures and starts programs of the machine. */
const PROGRAMS_AND_SETTINGS = ['/usr', '/boot', '/etc', '/bin', '/sbin', '/lib', '/lib64'];
/** Where cron jobs of users lie; what is written there runs outside. */
const JOBS = ['/var/spool/cron', '/var/spool/at'];
/** Of this program, which root runs outside. */
const WEFT_PARTS = ['bin', 'src', 'build', 'node_modules', 'package.json'];
/** Terminal multiplexers and session agents of who administrates the machine. */
const SESSIONS = /^(tmux-\d+|screens|ssh-.*|\.X11-unix|\.ICE-unix|pulse-.*)$/;

/** Reads what a view depends on. */
export function readViewFacts(): ViewFacts {
  return { mounts: parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')), runDirectories: runDirectories(), kindOf };
}

/**
 * What a workload of this machine is not to see, and what it needs; `hidden` and `shared` as they are named, `cwd` where it
 * starts. Errors: WEFT_SHARE for a path that would show what is hidden, WEFT_SANDBOX_LAUNCH when it could not start where it should.
 */
export function readWishes(
  {
    hidden,
    shared,
    cwd,
    resolvConfPath,
  }: { hidden: readonly string[]; shared: readonly string[]; cwd: string; resolvConfPath: string },
  facts: ViewFacts,
): ViewWishes {
  const secrets = [...hidden.map(realOf).filter((path) => path !== null), ...sessions()];
  const all = secrets.flatMap((path) => namesOf(path, facts.mounts));
  const wanted = shared.map((path) => sharable(path, all));
  const start = realOf(cwd) ?? cwd;
  const cover = [...all, '/run', '/proc', '/sys', '/dev'].find((path) => isWithin(start, path));
  if (cover !== undefined && !wanted.some((path) => isWithin(start, path))) {
    throw new WeftError(
      'WEFT_SANDBOX_LAUNCH',
      `cannot start the command: its working directory ${cwd} is out of a workload's sight`,
      {
        remedy: `start it elsewhere than below ${cover}, or write --share ${cwd} if nothing of the mesh lies there`,
      },
    );
  }
  const target = realOf('/etc/resolv.conf');
  if (target === null) {
    throw new WeftError(
      'WEFT_SANDBOX_LAUNCH',
      'cannot start the command: /etc/resolv.conf is missing, so nothing can be mounted over it',
      {
        remedy: 'create an empty one',
      },
    );
  }
  return {
    hidden: secrets,
    readOnly: [...PROGRAMS_AND_SETTINGS, ...JOBS, ...WEFT_PARTS.map((part) => join(WEFT_ROOT, part))].filter(isNoLink),
    shared: wanted,
    sockets: machineSockets(readFileSync('/proc/net/unix', 'utf8'), (path) => kindOf(path) === 'file').filter(
      (path) => !all.some((hidden) => isWithin(path, hidden)),
    ),
    resolvConf: { file: resolvConfPath, target },
    terminal: ownTerminal(),
  };
}

/** Paths outside of /run on which services of this network namespace listen, from the text of /proc/net/unix. */
export function machineSockets(table: string, isThere: (path: string) => boolean): string[] {
  const paths = table.split('\n').flatMap((line) => {
    const path = /^[0-9a-f]+: [0-9A-F]+ \d+ [0-9A-F]+ \d+ \d+ +\d+ (\/.*)$/.exec(line)?.[1];
    return path === undefined || ['/run', '/var/run', '/proc', '/dev'].some((other) => isWithin(path, other)) ? [] : [path];
  });
  return [...new Set(paths)].filter(isThere).slice(0, HOST.hiddenSocketsMax);
}

/** A path to share, unless that would show a secret. Errors: WEFT_SHARE. */
export function sharable(path: string, secrets: readonly string[], real: (path: string) => string | null = realOf): string {
  const found = real(path);
  if (found === null) {
    throw new WeftError('WEFT_SHARE', `cannot share ${path}: nothing is there`, {
      remedy: 'create it before the workload starts',
    });
  }
  const shown = secrets.find((secret) => isWithin(secret, found) || isWithin(found, secret));
  const whole = ['/', '/run', '/dev'].includes(found) || isWithin(found, '/proc') || isWithin(found, '/sys');
  if (shown === undefined && !whole) return found;
  throw new WeftError(
    'WEFT_SHARE',
    `cannot share ${path}: it ${shown === undefined ? 'would undo the whole view' : `would show ${shown}`}`,
    {
      remedy: 'share the one directory or socket that the command needs',
    },
  );
}

function sessions(): string[] {
  return readdirSync('/tmp')
    .filter((name) => SESSIONS.test(name))
    .map((name) => join('/tmp', name));
}

/** The terminal of the descriptors that the command gets, if any. */
function ownTerminal(): string | null {
  for (const fd of [0, 1, 2]) {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      if (/^\/dev\/(pts\/|tty|console)/.test(path)) return path;
    } catch {
      // closed
    }
  }
  return null;
}

function runDirectories(): RunDirectory[] {
  return readdirSync('/run', { withFileTypes: true }).flatMap((entry) => {
    // Users' own sessions are theirs, and a lock directory everybody's; both are not as packages made them.
    if (!entry.isDirectory() || ['user', 'lock', 'netns'].includes(entry.name) || entry.name.startsWith('weft')) return [];
    const path = join('/run', entry.name);
    const { mode, uid, gid } = lstatSync(path);
    return [{ path, mode: mode & 0o7777, uid, gid }];
  });
}

function kindOf(path: string): 'directory' | 'file' | null {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return null;
  return found.isDirectory() ? 'directory' : 'file';
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

/** A link leads to what is in the list by itself. */
function isNoLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === false;
}
