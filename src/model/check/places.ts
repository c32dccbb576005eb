import { CHECK } from '#model/settings/checks.ts';
import { type CheckFinding, found } from './finding.ts';
import { mebibytes } from './machine.ts';

/** A directory that a part of the mesh keeps something in. */
export type PlaceFacts = {
  purpose: 'state' | 'sockets' | 'logs';
  path: string;
  /** Files and directories, itself included, that are for root alone and that others own, or may read or write; with their mode. */
  open: readonly { path: string; mode: number; owner: number }[];
  /** Of the directory, or of the nearest one above it that is there. */
  writable: 'yes' | 'read-only' | 'refused';
  freeBytes: number;
  /** Null: its file system does not count them. */
  freeFiles: number | null;
  /** What it holds that is not of Weft, when it cannot be used for that; null: nothing. */
  foreign: string | null;
};

/** Fixed by the kernel: bytes of a socket's path, without the NUL at its end. */
const SOCKET_PATH_BYTES_MAX = 107;

const OPTIONS: Readonly<Record<PlaceFacts['purpose'], string>> = {
  state: '--state-dir',
  sockets: '--run-dir',
  logs: '--state-dir',
};

/** What is wrong with a directory. */
export function placeFindings(place: PlaceFacts): CheckFinding[] {
  const { purpose, path, open, foreign } = place;
  return [
    ...open.map((one) => found('WEFT_CHECK_PERMISSIONS', openness(one), remedyOf(one))),
    ...(foreign === null
      ? []
      : [
          found(
            'WEFT_FOREIGN_DIRECTORY',
            `${path} is to hold ${purpose}, and has ${foreign} in it`,
            `choose a directory of its own with ${OPTIONS[purpose]}`,
          ),
        ]),
    ...(purpose === 'logs' ? logFindings(place) : roomFindings(place)),
  ];
}

function openness({ path, mode, owner }: PlaceFacts['open'][number]): string {
  if (owner !== 0) return `${path} belongs to user ${owner}`;
  return `others than root may ${mode & 0o022 ? 'write' : 'read'} ${path} (mode ${(mode & 0o7777).toString(8)})`;
}

function remedyOf({ path, owner }: PlaceFacts['open'][number]): string {
  const change = owner === 0 ? `chmod go= ${path}` : `chown root ${path}`;
  return `${change}; make new keys and tokens if somebody may have read them`;
}

function roomFindings({ purpose, path, writable, ...room }: PlaceFacts): CheckFinding[] {
  if (writable === 'read-only')
    return [found('WEFT_CHECK_READ_ONLY', `${path} lies on a disk that is mounted read-only`, remedyFor(purpose))];
  if (writable === 'refused') return [found('WEFT_CHECK_READ_ONLY', `${path} cannot be written`, remedyFor(purpose))];
  const lack = lackOf(room);
  return lack === null ? [] : [found('WEFT_CHECK_DISK_FULL', `${path}: ${lack}`)];
}

function remedyFor(purpose: PlaceFacts['purpose']): string {
  return `mount it writable, or choose another directory with ${OPTIONS[purpose]}`;
}

function logFindings({ path, writable, ...room }: PlaceFacts): CheckFinding[] {
  const lack = writable === 'yes' ? lackOf(room) : 'it cannot be written';
  return lack === null ? [] : [found('WEFT_CHECK_LOG_DISK', `${path}: ${lack}`)];
}

function lackOf({ freeBytes, freeFiles }: Pick<PlaceFacts, 'freeBytes' | 'freeFiles'>): string | null {
  if (freeBytes < CHECK.diskMinBytes) return `${mebibytes(freeBytes)} are free, less than ${mebibytes(CHECK.diskMinBytes)}`;
  if (freeFiles !== null && freeFiles < CHECK.diskFilesMin) return `its disk has room for ${freeFiles} files`;
  return null;
}

/** Whether a socket can be made at a path. */
export function socketPathFindings(path: string): CheckFinding[] {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return [];
  return [found('WEFT_SOCKET_PATH', `${path} has ${bytes} bytes, and a socket's path ${SOCKET_PATH_BYTES_MAX} at most`)];
}
