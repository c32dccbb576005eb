// What one needs to try a way out: calls by number, and words for what came of it.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import koffi from 'koffi';

/** What the attacker has found out about the machine. */
export type Known = {
  stateDir: string;
  /** Another name of the same directory. */
  alias: string;
  runDir: string;
  /** The directory over which a mask lies: both are in it. */
  covered: string;
  bpffs: string;
  token: string;
  sockets: Record<string, string>;
  agentPid: number;
  cgroup: string;
  netns: string;
  /** A program that is root's and set-user-id. */
  setuid: string;
  weft: string;
  scratch: string;
  /** Device and inode of the authority's key. */
  keyInode: number;
};

/** What this one was told. */
export const known = JSON.parse(process.argv[2] ?? '{}') as Known;
const libc = koffi.load('libc.so.6');
/** A system call; each argument comes after its type. */
export const raw: (number: number, ...typed: (string | number | bigint | Buffer | null)[]) => number =
  libc.func('long syscall(long number, ...)');
/** mount(2). */
export const mount: (from: string, to: string, type: string | null, flags: number, data: null) => number = libc.func(
  'int mount(const char *from, const char *to, const char *type, unsigned long flags, const char *data)',
);
/** umount2(2). */
export const umount2: (target: string, flags: number) => number = libc.func('int umount2(const char *target, int flags)');
const NAMES = new Map(Object.entries(koffi.os.errno).map(([name, code]) => [code, name]));

/** `OPEN`, or what stood in the way. */
export type Outcome = string;
/** All ways, in the order in which they are tried. */
export const ways: Record<string, () => Outcome | Promise<Outcome>> = {};
/** A way that fails with an error, or says what it got. */
export function way(name: string, attempt: () => Outcome | Promise<Outcome>): void {
  ways[name] = attempt;
}
/** It could be done. */
export const done = (_: unknown): Outcome => 'OPEN';
/** The error of the last call. */
export const errorOf = (): string => NAMES.get(koffi.errno()) ?? String(koffi.errno());
/** The outcome of a call that returns −1 when it fails. */
export const call = (name: string, number: number, ...args: (number | string | Buffer | null)[]): void =>
  way(name, () => {
    const typed = args.flatMap((arg): (string | number | Buffer | null)[] => [
      typeof arg === 'number' ? 'long' : typeof arg === 'string' ? 'str' : 'void *',
      arg,
    ]);
    return raw(number, ...typed) < 0 ? errorOf() : 'OPEN';
  });
/** Writes into a file that is there. */
export const written = (path: string, text: string): Outcome => {
  writeFileSync(path, text, { flag: 'r+' });
  return 'OPEN';
};
/** Makes a file. */
export const created = (path: string): Outcome => {
  writeFileSync(path, 'x', { flag: 'wx' });
  rmSync(path);
  return 'OPEN';
};
/** A program that does it. */
export const run = (...command: string[]): Outcome => {
  const { status, stderr } = spawnSync(command[0] ?? '', command.slice(1), { encoding: 'utf8' });
  if (status === 0) return 'OPEN';
  return /Operation not permitted|EPERM|must be root/.test(stderr) ? 'EPERM' : `failed: ${stderr.trim()}`;
};
/** Connects to a socket. */
export const reached = (path: string): Promise<Outcome> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve('OPEN')).once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
  });
/** Where a link leads. */
export const linkOf = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed by now
  }
};
/** Whether a directory shows anything. */
export const listed = (path: string): Outcome => (readdirSync(path).length === 0 ? 'empty' : 'OPEN');
/** Whether somewhere below lies a private key. */
export const key = (directory: string): Outcome => {
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = `${directory}/${name}`;
    if (statSync(path).isFile() && /PRIVATE KEY/.test(readFileSync(path, 'utf8'))) return 'OPEN';
  }
  return 'empty';
};
/** Every cgroup mount in sight. */
export const mountpoints = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .filter((line) => / - cgroup2? /.test(line))
  .map((line) => line.split(' ')[4] ?? '');
/** The same at every cgroup mount in sight; the best of what came of it. */
export const everywhere = (attempt: (point: string) => Outcome): Outcome => {
  const outcomes = mountpoints.map((point) => {
    try {
      return attempt(point);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
  });
  return [...new Set(outcomes)].sort().join(' ') || 'no cgroup in sight';
};
