import { type FSWatcher, watch } from 'node:fs';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { systemClock } from '#platform/clock.ts';
import { type Scan, type ScannedFile, scanDirectory } from '#platform/files/scan-directory.ts';

/** Where changes and problems are told. */
export type WatchOptions = {
  /** path → text of every file, and what cannot be read; called with each change, never twice with the same. */
  onFiles(files: ReadonlyMap<string, string>, unread: Scan['unread']): void;
  /** A file or the whole directory cannot be read; what was there before stays. Each problem is told once. */
  onProblem(problem: WeftError): void;
  /** Everything that cannot be read as of now, and files that are passed over; called when that changes, before the files. */
  onStanding?(problems: readonly string[], ignored: Scan['ignored']): void;
  clock?: Clock;
};

/** A running watch. */
export type DirectoryWatch = {
  /** Looks at the directory now, without waiting for an event. */
  rescan(): Promise<void>;
  close(): void;
};

/**
 * Follows every *.yaml, *.yml and *.json file below `directory`; a change is told within some 40 ms. Resolves once the
 * first content was told. Errors: WEFT_CONFIG_DIRECTORY when the directory cannot be read at the start.
 */
export async function watchDirectory(directory: string, options: WatchOptions): Promise<DirectoryWatch> {
  const watcher = new DirectoryWatcher(directory, options);
  await watcher.start();
  return { rescan: () => watcher.scan(), close: () => watcher.close() };
}

class DirectoryWatcher {
  readonly #root: string;
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #watchers = new Map<string, { watcher: FSWatcher; identity: string }>();
  readonly #toldProblems = new Set<string>();
  #files: ReadonlyMap<string, ScannedFile> = new Map();
  /** Files that were missing or empty at the last look and are still told with their old text. */
  #doubted: ReadonlyMap<string, string> = new Map();
  #told = false;
  #unread: Scan['unread'] = new Map();
  #standing = '';
  #timer: Cancel | null = null;
  #firstEventMs: number | null = null;
  #scanning: Promise<void> = Promise.resolve();
  #stopRescans: Cancel | null = null;
  #closed = false;

  constructor(root: string, options: WatchOptions) {
    this.#root = root;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async start(): Promise<void> {
    await this.#scanOnce();
    this.#stopRescans = this.#clock.every(RESOURCE.rescanMs, () => this.#rescan());
  }

  /** Scans never overlap; one that is asked for during another follows it. */
  scan(): Promise<void> {
    const scanned = this.#scanning.then(async () => {
      if (this.#closed) return;
      await this.#scanOnce().catch((problem: unknown) => {
        this.#tellProblems([problem instanceof WeftError ? problem : unforeseen(problem)], []);
      });
    });
    // A scan that failed in a way nobody foresaw is its caller's; the next one looks again all the same.
    this.#scanning = scanned.catch(() => {});
    return scanned;
  }

  #rescan(): void {
    this.scan().catch(toLastResort);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
    this.#stopRescans?.();
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #scanOnce(): Promise<void> {
    const scan = await scanDirectory(this.#root, this.#files, this.#unread);
    if (this.#closed) return;
    const added = this.#watchAll(scan.directories);
    this.#tellProblems(scan.problems, scan.ignored);
    this.#take(scan);
    // What appeared in a new folder before it was watched was not announced.
    if (added) this.#schedule(RESOURCE.quietMs);
  }

  #take({ files: found, unread }: Scan): void {
    const files = new Map(found);
    const doubted = new Map<string, string>();
    for (const [path, before] of this.#files) {
      const suspicious = !saysAnything(found.get(path)?.text ?? '') && saysAnything(before.text);
      const version = found.get(path)?.version ?? 'gone';
      // One that changes from look to look is still being written, however long that takes.
      if (!suspicious || this.#doubted.get(path) === version) continue;
      files.set(path, before);
      doubted.set(path, version);
    }
    this.#doubted = doubted;
    if (doubted.size > 0) this.#schedule(RESOURCE.confirmMs);
    const changed = !this.#told || !sameTexts(this.#files, files) || !sameReasons(this.#unread, unread);
    this.#files = files;
    this.#unread = unread;
    if (!changed) return;
    this.#told = true;
    this.#options.onFiles(new Map([...files].map(([path, { text }]) => [path, text])), unread);
  }

  /** Whether a folder was new. */
  #watchAll(directories: ReadonlyMap<string, string>): boolean {
    for (const [directory, { watcher, identity }] of this.#watchers) {
      if (directories.get(directory) === identity) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    let added = false;
    for (const [directory, identity] of directories) {
      if (!this.#watchers.has(directory)) added = this.#watchOne(directory, identity) || added;
    }
    return added;
  }

  #watchOne(directory: string, identity: string): boolean {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#schedule(RESOURCE.quietMs));
      // A folder that goes away reports an error; the next look finds out what is left, and watches it anew.
      watcher.on('error', () => this.#forget(directory, watcher));
      this.#watchers.set(directory, { watcher, identity });
      return true;
    } catch {
      // No watch to be had (their number is limited): the regular rescan still sees every change.
      return false;
    }
  }

  #forget(directory: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(directory)?.watcher === watcher) this.#watchers.delete(directory);
    this.#schedule(RESOURCE.quietMs);
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonicMs();
    this.#firstEventMs ??= nowMs;
    const leftMs = this.#firstEventMs + RESOURCE.quietMsMax - nowMs;
    this.#timer?.();
    this.#timer = this.#clock.after(Math.max(0, Math.min(delayMs, leftMs)), () => {
      this.#timer = null;
      this.#firstEventMs = null;
      this.#rescan();
    });
  }

  #tellProblems(problems: readonly WeftError[], ignored: Scan['ignored']): void {
    const messages = new Set(problems.map(({ message }) => message));
    for (const problem of problems) if (!this.#toldProblems.has(problem.message)) this.#options.onProblem(problem);
    this.#toldProblems.clear();
    for (const message of messages) this.#toldProblems.add(message);
    const standing = JSON.stringify([[...messages], ignored]);
    if (this.#standing === standing) return;
    this.#standing = standing;
    this.#options.onStanding?.([...messages], ignored);
  }
}

/** Whether a text has more than blanks, comments and marks between documents: what is being written often has not yet. */
function saysAnything(text: string): boolean {
  return /^[^\s#-]/m.test(text) || /^-[^-]/m.test(text);
}

function sameReasons(a: Scan['unread'], b: Scan['unread']): boolean {
  return a.size === b.size && [...a].every(([path, { why }]) => b.get(path)?.why === why);
}

/** A mistake of ours over one state of the files: it must not end who serves the former one; the next change is read. */
function unforeseen(cause: unknown): WeftError {
  return new WeftError('WEFT_CONFIG_DIRECTORY', `the resources could not be taken: ${messageOf(cause)}`, {
    cause,
    remedy: 'report this mistake of the program; the resources that were in force stay, and the next change is read',
  });
}

function sameTexts(a: ReadonlyMap<string, ScannedFile>, b: ReadonlyMap<string, ScannedFile>): boolean {
  return a.size === b.size && [...a].every(([path, { text }]) => b.get(path)?.text === text);
}
