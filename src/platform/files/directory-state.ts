import type { Known, Scan, ScannedFile, UnreadFile } from './scan-directory.ts';

/** What a look found that was not told before: path → text, null of a file that is gone. */
export type DirectoryNews = {
  files: ReadonlyMap<string, string | null>;
  /** Whether the files and folders that cannot be read are others, or for other reasons. */
  unread: boolean;
  /** Whether those that are passed over are others. */
  ignored: boolean;
};

/**
 * What is known of a directory: words for the texts that were told last, and what is wrong with them. A file that said something and now
 * says nothing, or is gone, is doubted until a second look finds the same: most are about to be replaced.
 */
export class DirectoryState implements Known {
  readonly files = new Map<string, ScannedFile>();
  readonly unread = new Map<string, UnreadFile>();
  readonly ignored = new Set<string>();
  readonly links = new Set<string>();
  /** Path → version that is not believed yet. */
  readonly #doubted = new Map<string, string>();

  /** Files to be looked at again soon. */
  get doubted(): Iterable<string> {
    return this.#doubted.keys();
  }

  isDoubted(path: string): boolean {
    return this.#doubted.has(path);
  }

  /** Takes what a look found. `looked`: at which paths, null for all; the cost is in them alone. */
  take(scan: Scan, looked: ReadonlySet<string> | null): DirectoryNews {
    const files = new Map<string, string | null>();
    for (const path of looked ?? new Set([...this.files.keys(), ...scan.files.keys()])) {
      const [before, found] = [this.files.get(path), scan.files.get(path)];
      if (before !== found && this.#isDoubtful(path, before, found)) continue;
      this.#doubted.delete(path);
      if (before === found) continue;
      setOrDelete(this.files, path, found === undefined ? undefined : { ...found, text: null });
      // Another digest is that of a file that was read just now.
      if (before?.digest !== found?.digest) files.set(path, found?.text ?? null);
    }
    let unread = false;
    for (const path of looked ?? new Set([...this.unread.keys(), ...scan.unread.keys()])) {
      unread ||= this.unread.get(path)?.why !== scan.unread.get(path)?.why;
      setOrDelete(this.unread, path, scan.unread.get(path));
    }
    takeSet(this.links, scan.links, looked);
    return { files, unread, ignored: takeSet(this.ignored, scan.ignored, looked) };
  }

  #isDoubtful(path: string, before: ScannedFile | undefined, found: ScannedFile | undefined): boolean {
    if (before === undefined || found?.saysAnything === true || !before.saysAnything) return false;
    const version = found?.version ?? 'gone';
    // One that changes from look to look is still being written, however long that takes.
    if (this.#doubted.get(path) === version) return false;
    this.#doubted.set(path, version);
    return true;
  }
}

function setOrDelete<Value>(map: Map<string, Value>, path: string, value: Value | undefined): void {
  if (value === undefined) map.delete(path);
  else map.set(path, value);
}

/** Whether anything came or went. */
function takeSet(known: Set<string>, found: ReadonlySet<string>, looked: ReadonlySet<string> | null): boolean {
  let differs = false;
  for (const path of looked ?? known.union(found)) {
    if (known.has(path) === found.has(path)) continue;
    differs = true;
    if (!known.delete(path)) known.add(path);
  }
  return differs;
}
