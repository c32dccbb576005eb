import { accessSync, constants, existsSync, lstatSync, type Stats, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Leftovers } from '#model/check/parts.ts';
import type { PlaceFacts } from '#model/check/places.ts';
import { claimOf, isTelling } from '#model/instance/mark.ts';
import { isBpffs } from '#platform/bpf/bpffs.ts';
import { namesIn } from '#platform/files/as-far-as-seen.ts';
import { readMark, realPlace } from '#platform/files/marked-directory.ts';
import { type TracePlace, traceMesh } from '#platform/files/mesh-traces.ts';
import { knownNodes } from '#platform/files/node-register.ts';
import { isNetnsNameOf } from '#platform/linux/sandbox/sandbox-name.ts';

/** Files that hold keys, tokens or what makes them. */
const SECRETS: Readonly<Record<'state' | 'sockets', RegExp>> = {
  state: /^(root-key|token-key)\.pem$/,
  sockets: /^(control\.sock|[^/]+\/(agent\.sock|token))$/,
};

/** The directory of the state, and that of the sockets with those of its nodes. `node`: the planned one's directory is among them. */
export function surveyPlace(purpose: 'state' | 'sockets', path: string): PlaceFacts {
  return { purpose, path, open: openIn(purpose, path), ...room(path), foreign: purpose === 'state' ? foreignIn(path) : null };
}

/** The folder of logs below a state directory. */
export function surveyLogs(stateDir: string): PlaceFacts {
  const path = join(stateDir, 'logs');
  return { purpose: 'logs', path, open: [], ...room(path), foreign: null };
}

/** What others than root own, may read or may write of what is for root alone. */
function openIn(purpose: 'state' | 'sockets', path: string): PlaceFacts['open'] {
  const below = namesIn(path).flatMap((name) =>
    purpose === 'state' ? [name] : [name, ...namesIn(join(path, name)).map((file) => join(name, file))],
  );
  const secrets = below.filter((name) => SECRETS[purpose].test(name)).map((name) => join(path, name));
  return [path, ...secrets].flatMap((file) => {
    const stats = statsOf(file);
    if (stats === null || stats.isSymbolicLink()) return [];
    // A run directory may be one of others, such as /run; only who writes there could put in something else.
    const forbidden = stats.isDirectory() && purpose === 'sockets' ? 0o022 : 0o077;
    const isSticky = (stats.mode & 0o1000) !== 0;
    if (stats.uid === 0 && ((stats.mode & forbidden) === 0 || (stats.isDirectory() && purpose === 'sockets' && isSticky)))
      return [];
    return [{ path: file, mode: stats.mode & 0o7777, owner: stats.uid }];
  });
}

function room(path: string): Pick<PlaceFacts, 'writable' | 'freeBytes' | 'freeFiles'> {
  const there = nearest(path);
  try {
    const { bavail, bsize, files, ffree } = statfsSync(there);
    return { writable: writabilityOf(there), freeBytes: bavail * bsize, freeFiles: files === 0 ? null : ffree };
  } catch {
    return { writable: 'refused', freeBytes: Number.MAX_SAFE_INTEGER, freeFiles: null };
  }
}

/** The directory itself, or the first above it that is there. */
function nearest(path: string): string {
  return existsSync(path) || path === '/' ? path : nearest(dirname(path));
}

/** Who is not root is told so elsewhere: what the rights of a file refuse to others says nothing about it. */
function writabilityOf(path: string): PlaceFacts['writable'] {
  try {
    accessSync(path, constants.W_OK);
    return 'yes';
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EROFS') return 'read-only';
    return process.geteuid?.() === 0 ? 'refused' : 'yes';
  }
}

function foreignIn(path: string): string | null {
  const names = namesIn(path);
  if (names.length === 0) return null;
  const claim = claimOf({ kind: 'state', path: realPlace(path), node: null }, readMark(path), names);
  return claim === 'foreign' ? (names.find((name) => !isTelling('state', name)) ?? null) : null;
}

/** Null where it is not there, or where we may not look. */
function statsOf(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

/** Where iproute2 keeps the names of network namespaces. */
const NETNS_FOLDER = '/run/netns';

/** What dead meshes left on this machine: pins and namespaces without a node. Null: only root sees which nodes there are. */
export function surveyLeftovers(place: TracePlace): Leftovers | null {
  if (process.geteuid?.() !== 0) return null;
  const { orphans, nodes, others } = traceMesh(place, isBpffs);
  const known = new Set([...knownNodes(), ...nodes, ...others].map(({ node }) => node));
  return {
    pins: orphans.map((node) => ({ node, path: join(place.bpffs, 'weft', node) })),
    namespaces: namesIn(NETNS_FOLDER).filter(
      (name) => isSandbox(name) && ![...known, ...orphans].some((node) => isNetnsNameOf(node, name)),
    ),
  };
}

/** Whether only we call a network namespace so. */
function isSandbox(name: string): boolean {
  return /^weft-[a-z0-9-]+-[0-9a-f]{10}$/.test(name);
}
