import { messageOf, WeftError } from './error.ts';

/** What the operating system says of a call that it refused, as Node.js tells it. */
type Refused = Error & { code: string; syscall: string; path?: string; dest?: string };

/** Why, and what to do, by the name that POSIX gives it. `path`: of the file; `folder`: where it is. */
const REASONS: Readonly<Record<string, { why: string; remedy: (path: string, folder: string) => string }>> = {
  ENOSPC: {
    why: 'no room is left on its file system',
    remedy: (_, at) => `make room: df -h ${at} and df -i ${at} show what is full`,
  },
  EDQUOT: { why: 'the quota of its file system is used up', remedy: (_, at) => `make room, or ask for a larger quota for ${at}` },
  EROFS: {
    why: 'its file system is read-only',
    remedy: (_, at) => `mount it writable (findmnt -T ${at}), or name another place`,
  },
  EIO: { why: 'the device below it failed', remedy: () => 'see dmesg; the disk may be broken' },
  EACCES: { why: 'permission is denied', remedy: (at) => `run it as root, or see who may: namei -l ${at}` },
  EPERM: {
    why: 'it is not permitted',
    remedy: (at) => `run it as root; else see lsattr -d ${at}, and what confines this process`,
  },
  ENOENT: { why: 'it is not there', remedy: () => 'check its name; if it is one of the mesh, somebody has removed it' },
  ENOTDIR: { why: 'it is no directory, or below what is none', remedy: (at) => `see namei -l ${at}, and name another place` },
  EISDIR: { why: 'it is a directory', remedy: () => 'name a file' },
  EEXIST: { why: 'it is there already', remedy: () => 'name another place' },
  ENOTEMPTY: { why: 'it is not empty', remedy: () => 'remove what is in it, or name another place' },
  ELOOP: { why: 'links lead in a circle', remedy: (at) => `see namei -l ${at}` },
  ENAMETOOLONG: { why: 'its name is too long', remedy: () => 'name a place with a shorter path' },
  EBUSY: { why: 'it is in use', remedy: (_, at) => `see who uses it: fuser -vm ${at}` },
  ETXTBSY: { why: 'it runs', remedy: () => 'end it first' },
  ESTALE: { why: 'its file system has lost it', remedy: () => 'mount its network file system anew' },
  EMFILE: {
    why: 'this process has as many files open as it may',
    remedy: () => 'raise the limit: ulimit -n, or LimitNOFILE= of its unit',
  },
  ENFILE: { why: 'the machine has as many files open as it may', remedy: () => 'raise the limit: sysctl fs.file-max' },
  EADDRINUSE: { why: 'another program listens there', remedy: () => 'end it (ss -lntup names it), or choose another place' },
  EADDRNOTAVAIL: { why: 'no interface of this machine has that address', remedy: () => 'choose one that ip address shows' },
  ENOMEM: { why: 'there is no memory left', remedy: () => 'end something else, or give the machine more memory' },
};

/** What was tried, by the call's name. */
const VERBS: Readonly<Record<string, string>> = {
  ...{ open: 'open', read: 'read', write: 'write', writev: 'write', fsync: 'write', ftruncate: 'cut', copyfile: 'copy' },
  ...{ mkdir: 'make', mkdtemp: 'make', rename: 'rename', unlink: 'remove', rm: 'remove', rmdir: 'remove', scandir: 'list' },
  ...{ stat: 'look at', lstat: 'look at', access: 'look at', statfs: 'look at', realpath: 'look at', readlink: 'look at' },
  ...{ chmod: 'set the rights of', chown: 'set the owner of', utime: 'date', link: 'link', symlink: 'link', spawn: 'start' },
};

/**
 * What the operating system refused, as an error that says what, why and what to do; null for any other value. It is nobody's
 * mistake in Weft when a disk is full.
 */
export function systemError(error: unknown): WeftError | null {
  if (!isRefused(error)) return null;
  const reason = REASONS[error.code];
  const verb = VERBS[error.syscall.split(' ')[0] ?? ''];
  if (reason === undefined || verb === undefined) return null;
  const { path, dest } = error;
  const at = dest ?? path;
  const what = `${path ?? 'a file'}${dest === undefined ? '' : ` to ${dest}`}`;
  const remedy = reason.remedy(at ?? 'FILE', at === undefined ? 'DIRECTORY' : folderOf(at));
  return new WeftError('WEFT_SYSTEM', `cannot ${verb} ${what}: ${refusalOf(error)}`, { remedy });
}

/** Why the system refused something, with the name of its reason; what any other value says of itself. */
export function refusalOf(error: unknown): string {
  const reason = isRefused(error) ? REASONS[error.code] : undefined;
  if (!isRefused(error) || reason === undefined) return messageOf(error);
  const isNoDirectory = error.code === 'EEXIST' && error.syscall === 'mkdir';
  return `${reason.why}${isNoDirectory ? ', and is no directory' : ''} (${error.code})`;
}

/** `mkdir` is told of the directory itself, which is not there: what is above it is asked about. */
function folderOf(path: string): string {
  const end = path.replace(/\/+$/, '').lastIndexOf('/');
  return end < 0 ? '.' : path.slice(0, Math.max(1, end));
}

function isRefused(error: unknown): error is Refused {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    'syscall' in error &&
    typeof error.syscall === 'string'
  );
}

/** Does something with a file whose name the system leaves out of what it refuses: a full disk is found by a descriptor. */
export function namingFile<Result>(path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw named(path, error);
  }
}

/** The error of something that was done with a file, with its name. */
export function named(path: string, error: unknown): unknown {
  return isRefused(error) && error.path === undefined ? Object.assign(error, { path }) : error;
}
