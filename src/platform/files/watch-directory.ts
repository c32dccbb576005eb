import { type FSWatcher, watch } from 'node:fs';
import { basename, join } from 'node:path';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { systemClock } from '#platform/clock.ts';
import { type DirectoryNews, DirectoryState } from '#platform/files/directory-state.ts';
import { QuietTimer } from '#platform/files/quiet-timer.ts';
import { type Scan, scanDirectory, scanFiles } from '#platform/files/scan-directory.ts';

/** Where changes and problems are told. */
export type WatchOptions = {
  /** Texts of the files that changed, null of one that is gone, and all that cannot be read; never twice the same. The first brings all. */
  onFiles(changed: DirectoryNews['files'], unread: Scan['unread']): void;
  /** A file or the whole directory cannot be read; what was there before stays. Each problem is told once. */
  onProblem(problem: WeftError): void;
  /** Everything that cannot be read as of now, and files that are passed over; called when that changes, before the files. */
  onStanding?(problems: readonly string[], ignored: readonly string[]): void;
  /** Whether a file is looked at before others once events named it, and without waiting until those are quiet. */
  isUrgent?(path: string): boolean;
  clock?: Clock;
};

/** A running watch. */
export type DirectoryWatch = {
  /** Looks at the directory now, without waiting for an event. */
  rescan(): Promise<void>;
  /** Looks at one file now, and resolves once what it says was told; also that it is gone, which is looked at twice. */
  look(path: string): Promise<void>;
  close(): void;
};

/**
 * Follows every *.yaml, *.yml and *.json file below `directory`; a change is told within some 40 ms. Resolves once the
 * first content was told. Errors: WEFT_CONFIG_DIRECTORY when the directory cannot be read at the start.
 */
export async function watchDirectory(directory: string, options: WatchOptions): Promise<DirectoryWatch> {
  const watcher = new DirectoryWatcher(directory, options);
  await watcher.start();
  return { rescan: () => watcher.scan(), look: (path) => watcher.look(path), close: () => watcher.close() };
}

class DirectoryWatcher {
  readonly #root: string;
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #watchers = new Map<string, { watcher: FSWatcher; identity: string }>();
  #toldProblems: ReadonlySet<string> = new Set();
  readonly #state = new DirectoryState();
  #directories: Scan['directories'] = new Map();
  /** What events named that are not quiet yet; null: they do not tell all that is to be looked at. */
  #named: Set<string> | null = new Set();
  #namedUrgent = new Set<string>();
  readonly #quiet: QuietTimer;
  readonly #quietUrgent: QuietTimer;
  /** What is to be looked at now: everything, or these, the first of them first. */
  #isAllDue = true;
  readonly #dueFirst = new Set<string>();
  readonly #due = new Set<string>();
  #told = false;
  /** Why the last look came to nothing. */
  #trouble: WeftError | null = null;
  #scanning: Promise<void> = Promise.resolve();
  #stopRescans: Cancel | null = null;
  #closed = false;

  constructor(root: string, options: WatchOptions) {
    this.#root = root;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#quiet = new QuietTimer(this.#clock, () => this.#fallDue());
    this.#quietUrgent = new QuietTimer(this.#clock, () => this.#fallDueFirst());
  }

  async start(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Looks at everything. Looks never overlap; one that is asked for during another follows it. */
  scan(): Promise<void> {
    this.#isAllDue = true;
    return this.#next();
  }

  async look(path: string): Promise<void> {
    this.#dueFirst.add(path);
    await this.#next();
    while (!this.#closed && this.#state.isDoubted(path)) {
      await new Promise<void>((resolve) => this.#clock.after(RESOURCE.confirmMs, resolve));
      this.#dueFirst.add(path);
      await this.#next();
    }
  }

  #next(): Promise<void> {
    const scanned = this.#scanning.then(async () => {
      if (this.#closed) return;
      const trouble = await this.#look().then(
        () => null,
        (problem: unknown) => (problem instanceof WeftError ? problem : unforeseen(problem)),
      );
      if (trouble?.message === this.#trouble?.message) return;
      this.#trouble = trouble;
      this.#tellStanding();
    });
    // A look that failed in a way nobody foresaw is its caller's; the next one looks again all the same.
    this.#scanning = scanned.catch(() => {});
    return scanned;
  }

  close(): void {
    this.#closed = true;
    this.#quiet.stop();
    this.#quietUrgent.stop();
    this.#stopRescans?.();
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Links are looked at with what events named: their targets may be anywhere. */
  #fallDue(): void {
    this.#isAllDue ||= this.#named === null;
    for (const path of [...(this.#named ?? []), ...this.#state.links]) this.#due.add(path);
    this.#named = new Set();
    this.#next().catch(toLastResort);
  }

  #fallDueFirst(): void {
    for (const path of this.#namedUrgent) this.#dueFirst.add(path);
    this.#namedUrgent = new Set();
    this.#next().catch(toLastResort);
  }

  /** At some of what is due, what is urgent first, the rest of which then follows; or at everything. */
  async #look(): Promise<void> {
    const paths = this.#takeDue();
    if (paths === null) return this.#lookAtAll();
    if (paths.size === 0) return;
    const scan = await scanFiles(paths, this.#state, this.#directories);
    if (this.#closed) return;
    if (scan === null) return this.#lookAtAll();
    this.#take(scan, paths);
    if (this.#due.size > 0) this.#next().catch(toLastResort);
  }

  /** null: everything. */
  #takeDue(): Set<string> | null {
    const isAll = this.#isAllDue;
    this.#isAllDue = false;
    const paths = new Set(this.#dueFirst);
    this.#dueFirst.clear();
    for (const path of this.#due) {
      if (!isAll && paths.size >= RESOURCE.lookedTogetherMax) break;
      paths.add(path);
      this.#due.delete(path);
    }
    return isAll ? null : paths;
  }

  async #lookAtAll(): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    try {
      const scan = await scanDirectory(this.#root, this.#state);
      if (this.#closed) return;
      this.#directories = scan.directories;
      const added = this.#watchAll(scan.directories);
      this.#take(scan, null);
      // What appeared in a new folder before it was watched was not announced.
      if (added) this.#wantAll();
    } finally {
      this.#rescanAfter(this.#clock.monotonicMs() - startMs);
    }
  }

  /** A directory with many files is looked through less often: it is events that tell, where there are any. */
  #rescanAfter(tookMs: number): void {
    this.#stopRescans?.();
    if (this.#closed) return;
    const isWatched = this.#watchers.size === this.#directories.size;
    const waitMs = isWatched ? Math.max(RESOURCE.rescanMs, (tookMs * 100) / RESOURCE.rescanPercent) : RESOURCE.rescanMs;
    this.#stopRescans = this.#clock.after(waitMs, () => void this.scan().catch(toLastResort));
  }

  #take(scan: Scan, looked: ReadonlySet<string> | null): void {
    const news = this.#state.take(scan, looked);
    if (news.unread || news.ignored) this.#tellStanding();
    for (const path of this.#state.doubted) this.#want(path, RESOURCE.confirmMs);
    if (this.#told && news.files.size === 0 && !news.unread) return;
    this.#told = true;
    this.#options.onFiles(news.files, new Map(this.#state.unread));
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
      const watcher = watch(directory, { persistent: false }, (event, name) => this.#onEvent(directory, event, name));
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
    this.#wantAll();
  }

  /** An event of the folder itself bears the folder's name. What begins with a dot may be what links lead through. */
  #onEvent(directory: string, event: string, name: string | null): void {
    const isOwn = name === null || name === basename(directory);
    if (isOwn || (name.startsWith('.') && event === 'rename') || this.#directories.has(join(directory, name))) this.#wantAll();
    else if (!name.startsWith('.')) this.#want(join(directory, name), RESOURCE.quietMs);
    else if (!this.#closed) this.#quiet.wait(RESOURCE.quietMs);
  }

  #wantAll(): void {
    this.#named = null;
    if (!this.#closed) this.#quiet.wait(RESOURCE.quietMs);
  }

  #want(path: string, delayMs: number): void {
    if (this.#closed) return;
    if (this.#options.isUrgent?.(path) === true) {
      this.#namedUrgent.add(path);
      this.#quietUrgent.wait(delayMs);
      return;
    }
    this.#named?.add(path);
    // So many that the kernel may have dropped some.
    if ((this.#named?.size ?? 0) > RESOURCE.namedMax) this.#named = null;
    this.#quiet.wait(delayMs);
  }

  #tellStanding(): void {
    const unread = [...this.#state.unread.values()].map(({ problem }) => problem);
    const problems = new Map([this.#trouble ?? [], unread].flat().map((problem) => [problem.message, problem]));
    for (const [message, problem] of problems) if (!this.#toldProblems.has(message)) this.#options.onProblem(problem);
    this.#toldProblems = new Set(problems.keys());
    this.#options.onStanding?.([...problems.keys()], [...this.#state.ignored].sort());
  }
}

/** A mistake of ours over one state of the files: it must not end who serves the former one; the next change is read. */
function unforeseen(cause: unknown): WeftError {
  return new WeftError('WEFT_CONFIG_DIRECTORY', `the resources could not be taken: ${messageOf(cause)}`, {
    cause,
    remedy: 'report this mistake of the program; the resources that were in force stay, and the next change is read',
  });
}
