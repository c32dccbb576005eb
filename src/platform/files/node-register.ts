import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { conflictOf, type Holding, type KnownHolding } from '#model/instance/holding.ts';
import { COMMAND } from '#model/settings/host.ts';
import { namesIn } from './as-far-as-seen.ts';
import { isLocked, lockText, takeLock } from './lock.ts';
import { isDirectory } from './marked-directory.ts';
import { removeIfEmpty } from './run-dir.ts';

/** One for the machine: nodes are told apart by names in its kernel, whatever run directories they have. */
const REGISTER = '/run/weft-nodes';

/** One that is asked about is locked for a moment. */
const TRIES = 5;

/** A node that this process has. `release` leaves word of it, for whoever goes on with it or takes it away; `forget` does not. */
export type HeldNode = { release(): void; forget(): void };

/**
 * Takes a node of this machine until this process ends. Errors: WEFT_NODE_HELD, WEFT_POOL_OVERLAP with the name of whoever has
 * it, or has something of it; WEFT_LOCK.
 */
export function holdNode(wanted: Holding, register = REGISTER): HeldNode {
  const path = pathOf(register, wanted.node);
  const before = lockText(path);
  refuseConflict(wanted, register);
  const lock = takeSoon(path, wanted, register);
  try {
    // Once more: two that started at one moment do not see one another before each has its own.
    refuseConflict(wanted, register, wanted.node);
  } catch (error) {
    if (before === '') rmSync(path, { force: true });
    lock.release();
    throw error;
  }
  return {
    release: () => lock.release(),
    forget() {
      rmSync(path, { force: true });
      lock.release();
      removeIfEmpty(register);
    },
  };
}

function takeSoon(path: string, wanted: Holding, register: string): { release(): void } {
  const text = JSON.stringify({ ...wanted, boot: bootId() } satisfies Holding & { boot: string });
  for (let tries = 1; tries <= TRIES; tries++) {
    const lock = tryLock(path, text, register);
    if (lock !== null) return lock;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, COMMAND.pollMs);
  }
  refuseConflict(wanted, register);
  throw new WeftError('WEFT_NODE_HELD', `node ${wanted.node} is held by another process`, { remedy: 'try again' });
}

/** Null also when the last node of the machine left at this very moment, and took the register along. */
function tryLock(path: string, text: string, register: string): ReturnType<typeof takeLock> {
  try {
    mkdirSync(register, { recursive: true, mode: 0o700 });
    return takeLock(path, text);
  } catch (error) {
    if (error instanceof WeftError && error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ENOENT')
      return null;
    throw error;
  }
}

function refuseConflict(wanted: Holding, register: string, own: string | null = null): void {
  const conflict = conflictOf(
    wanted,
    knownNodes(register).filter(({ node }) => node !== own),
  );
  if (conflict !== null) throw new WeftError(conflict.code, conflict.message, { remedy: conflict.remedy });
}

/** Returns when a node could be had now. Errors: those of `holdNode`. */
export function requireNode(wanted: Holding, register = REGISTER): void {
  refuseConflict(wanted, register);
}

/** Removes the word of a node that was taken away; one that an agent has meanwhile keeps it. */
export function forgetNode(node: string, register = REGISTER): void {
  const path = pathOf(register, node);
  if (!isLocked(path)) rmSync(path, { force: true });
  removeIfEmpty(register);
}

/** Nodes of this machine that have an agent, or whose agent ended and left them; by name. */
export function knownNodes(register = REGISTER): KnownHolding[] {
  return namesIn(register)
    .sort()
    .flatMap((name): KnownHolding[] => {
      const path = join(register, name);
      const holding = parseHolding(lockText(path));
      if (holding === null) return [];
      if (isLocked(path)) return [{ ...holding, state: 'alive' }];
      // Also what a reboot or a cleanup took away.
      if (isDirectory(join(holding.runDir, holding.node))) return [{ ...holding, state: 'dead' }];
      return [];
    });
}

function pathOf(register: string, node: string): string {
  return join(register, `${encodeURIComponent(node)}.json`);
}

/** Null for what is no holding, or one of before the last boot: nothing of it is left in the kernel. */
function parseHolding(text: string): Holding | null {
  try {
    const value = JSON.parse(text) as Partial<Holding & { boot: string }>;
    const { node, pid, runDir, bpffs, cgroup, bridge, pool4, pool6, netns, boot } = value;
    const texts = [node, runDir, bpffs, cgroup, bridge, pool4, pool6, netns];
    if (boot !== bootId() || typeof pid !== 'number' || !texts.every((field) => typeof field === 'string')) return null;
    return value as Holding;
  } catch {
    return null;
  }
}

/** Names what the kernel holds since the machine was started. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
