import { existsSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { errno, errnoName } from '#platform/ffi/libc.ts';
import { type LinkHandle, libbpf, type ProgramHandle } from './libbpf.ts';

/** One program at one place, pinned under a name that stays the same from version to version. */
export type Attachment = {
  name: string;
  program: ProgramHandle;
  attach(): LinkHandle | null;
  /** For people. */
  target: string;
  /** Whether an existing link of that name is at the place meant; a link to a place that is gone never is. */
  isHere(link: LinkHandle): boolean;
  /** It sends connections where the other programs must already expect them, so it is swapped after all others. */
  isLast?: boolean;
  /** Called once, when the program is in place or never will be. */
  settled?(): void;
};

/** Fixed by the kernel: struct bpf_link_info, as far as it is read; the union of places begins behind four words. */
const LINK_INFO_BYTES = 64;
const PLACE_OFFSET = 16;

/** The cgroup that a link is attached to; 0 when it is gone. */
export function cgroupOf(link: LinkHandle): bigint {
  return placeOf(link).readBigUInt64LE(0);
}

/** The inode of the network namespace that a link is attached to; 0 when it is gone. */
export function netnsOf(link: LinkHandle): number {
  return placeOf(link).readUInt32LE(0);
}

/** The index of the interface that a link is attached to; 0 when it is gone. */
export function interfaceOf(link: LinkHandle): number {
  return placeOf(link).readUInt32LE(0);
}

function placeOf(link: LinkHandle): Buffer {
  const info = Buffer.alloc(LINK_INFO_BYTES);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(LINK_INFO_BYTES);
  return libbpf().infoByFd(libbpf().linkFd(link), info, length) === 0
    ? info.subarray(PLACE_OFFSET)
    : Buffer.alloc(LINK_INFO_BYTES);
}

/**
 * The pinned links of a node: they hold programs in place while nobody runs. `deferred`: programs of other maps hold them;
 * those go on, each under its old link, until `activate` swaps all of them, so that at no moment nothing is attached.
 */
export class Links {
  readonly #directory: string;
  readonly #waiting = new Map<string, Attachment>();
  #deferred: boolean;

  constructor(directory: string, deferred: boolean) {
    this.#directory = directory;
    this.#deferred = deferred;
  }

  /** Errors: WEFT_BPF_ATTACH. While deferred, a place that has a program already is only noted down. */
  attach(attachment: Attachment): void {
    this.#forget(attachment.name);
    if (this.#deferred && this.holds(attachment)) this.#waiting.set(attachment.name, attachment);
    else this.#put(attachment);
  }

  /** Whether a program is in place under that name. */
  holds({ name, isHere }: Pick<Attachment, 'name' | 'isHere'>): boolean {
    return this.#withLink(name, isHere) ?? false;
  }

  detach(name: string): void {
    this.#forget(name);
    const pin = join(this.#directory, name);
    if (!existsSync(pin)) return;
    this.#withLink(name, (link) => libbpf().linkDetach(link));
    unlinkSync(pin);
  }

  /** Swaps what waits, and lets go of links whose program no version of ours has any more. Errors: WEFT_BPF_ATTACH. */
  activate(known: (name: string, link: LinkHandle) => boolean): void {
    const waiting = [...this.#waiting.values()].sort((a, b) => Number(a.isLast ?? false) - Number(b.isLast ?? false));
    for (const attachment of waiting) {
      this.#waiting.delete(attachment.name);
      this.#put(attachment);
    }
    this.#deferred = false;
    for (const name of readdirSync(this.#directory)) {
      if (this.#withLink(name, (link) => known(name, link)) !== true) this.detach(name);
    }
  }

  /** Gives back what waits; the links stay as they are. */
  close(): void {
    for (const name of [...this.#waiting.keys()]) this.#forget(name);
  }

  #forget(name: string): void {
    const waiting = this.#waiting.get(name);
    this.#waiting.delete(name);
    waiting?.settled?.();
  }

  #put(attachment: Attachment): void {
    try {
      this.#putProgram(attachment);
    } finally {
      attachment.settled?.();
    }
  }

  /** Swaps the program under an existing link atomically, or attaches and pins a new link. */
  #putProgram({ name, program, attach, target, isHere }: Attachment): void {
    const api = libbpf();
    const pin = join(this.#directory, name);
    const swapped = this.#withLink(name, (link) => isHere(link) && api.linkUpdateProgram(link, program) === 0);
    if (swapped === true) return;
    // Elsewhere it may still guard somebody, so it goes only with the rest that nobody knows.
    if (existsSync(pin)) renameSync(pin, join(this.#directory, `${FORMER}${name}`));
    const link = attach();
    if (link === null) {
      throw new WeftError('WEFT_BPF_ATTACH', `cannot attach ${api.programName(program)} to ${target}: ${errnoName(errno())}`, {
        remedy: 'run as root; EPERM can mean that another program holds the cgroup exclusively (bpftool cgroup tree)',
      });
    }
    const failed = api.linkPin(link, pin);
    api.linkDestroy(link);
    if (failed !== 0) throw new WeftError('WEFT_BPF_ATTACH', `cannot pin ${pin}: ${errnoName(-failed)}`);
  }

  /** Null when there is no such link. */
  #withLink<T>(name: string, use: (link: LinkHandle) => T): T | null {
    const pin = join(this.#directory, name);
    const link = existsSync(pin) ? libbpf().linkOpen(pin) : null;
    if (link === null) return null;
    try {
      return use(link);
    } finally {
      libbpf().linkDestroy(link);
    }
  }
}

/** In front of the name of a link whose place changed. */
const FORMER = 'former_';
