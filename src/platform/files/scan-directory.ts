import { hash } from 'node:crypto';
import { type BigIntStats, createReadStream, readdirSync } from 'node:fs';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { refusalOf } from '#model/system-error.ts';

/** One configuration file as it was read. */
export type ScannedFile = {
  /** null: it was read before, and its text is nobody's any more. */
  text: string | null;
  /** A word for its text. */
  digest: string;
  /** Whether it has more than blanks, comments and marks between documents: what is being written often has not yet. */
  saysAnything: boolean;
  /** Changes with every write and every file put in its place. */
  version: string;
};

/** What one look at a directory, or at some of its files, found. */
export type Scan = {
  files: ReadonlyMap<string, ScannedFile>;
  /** Every folder found, to be watched: path → identity, another one once a new folder stands in its place. */
  directories: ReadonlyMap<string, string>;
  /** Files and folders that could not be read, by path. */
  unread: ReadonlyMap<string, UnreadFile>;
  /** Files whose names say that they are not to be read. */
  ignored: ReadonlySet<string>;
  /** Files that are links: their folder does not tell when what they lead to changes. */
  links: ReadonlySet<string>;
};

/** Names of files that are read; JSON is read as the YAML that it is. */
const READ = /\.(ya?ml|json)$/;

/** Why something cannot be read. `outline`: of a file that is too large, the words that tell kinds and namespaces. */
export type UnreadFile = { why: string; outline: string; version: string; problem: WeftError };

/** What is known of a directory before a look at it: what did not change is not read again. */
export type Known = Pick<Scan, 'files' | 'unread'>;

const NOTHING: Known = { files: new Map(), unread: new Map() };

/**
 * Reads every *.yaml, *.yml and *.json file below `root`, following links, leaving out what begins with a dot. Files
 * whose version is that in `before` are not read again; one that cannot be read keeps what it said before.
 * Errors: WEFT_CONFIG_DIRECTORY when `root` itself cannot be read.
 */
export async function scanDirectory(root: string, before: Known = NOTHING): Promise<Scan> {
  const look = new Look(before);
  try {
    await look.visit(root);
  } catch (cause) {
    throw missingRoot(root, cause);
  }
  return look;
}

/** The text of each file that a look without former knowledge found. */
export function textsOf({ files }: Scan): Map<string, string> {
  return new Map([...files].map(([path, { text }]) => [path, text ?? '']));
}

/** Returns when a directory can be read. Errors: WEFT_CONFIG_DIRECTORY. */
export function requireDirectory(root: string): void {
  try {
    readdirSync(root);
  } catch (cause) {
    throw missingRoot(root, cause);
  }
}

/**
 * The same of some files alone, however many others there are. Null when they do not tell all: a folder is among them, or
 * one that holds them is no longer what it was in `directories`.
 */
export async function scanFiles(
  paths: ReadonlySet<string>,
  before: Known,
  directories: Scan['directories'],
): Promise<Scan | null> {
  const look = new Look(before);
  for (const directory of new Set([...paths].map((path) => dirname(path))))
    if ((await identityOf(directory).catch(() => null)) !== directories.get(directory)) return null;
  for (const path of paths) await look.take(path);
  return look.directories.size > 0 ? null : look;
}

class Look implements Scan {
  readonly files = new Map<string, ScannedFile>();
  readonly directories = new Map<string, string>();
  readonly unread = new Map<string, UnreadFile>();
  readonly ignored = new Set<string>();
  readonly links = new Set<string>();
  readonly #before: Known;
  readonly #visited = new Set<string>();

  constructor(before: Known) {
    this.#before = before;
  }

  async visit(directory: string): Promise<void> {
    const identity = await identityOf(directory);
    if (this.#visited.has(identity)) return;
    this.#visited.add(identity);
    this.directories.set(directory, identity);
    for (const name of (await readdir(directory)).sort()) {
      if (!name.startsWith('.')) await this.take(join(directory, name));
    }
  }

  async take(path: string): Promise<void> {
    const isRead = READ.test(path);
    const { files, unread } = this.#before;
    try {
      // Of all but links that is what is meant: a look at thousands of files is made of these calls.
      const own = await lstat(path, { bigint: true });
      if (isRead && own.isSymbolicLink()) this.links.add(path);
      const status = own.isSymbolicLink() ? await stat(path, { bigint: true }) : own;
      if (status.isDirectory()) await this.visit(path);
      else if (!isRead) this.ignored.add(path);
      else if (status.isFile()) this.files.set(path, await readStable(path, status, files.get(path)));
    } catch (cause) {
      // Gone since the folder was listed: not there is not a problem. A link to what is not there is one.
      if (isMissing(cause) && !this.links.has(path)) return;
      this.unread.set(path, await unreadFile(path, cause, unread.get(path)));
      // Of a folder, all that was found below it: what cannot be looked at is not gone.
      for (const [file, kept] of files) if (file === path || file.startsWith(`${path}/`)) this.files.set(file, kept);
    }
  }
}

async function identityOf(directory: string): Promise<string> {
  const { dev, ino } = await stat(directory, { bigint: true });
  return `${dev} ${ino}`;
}

async function readStable(path: string, status: BigIntStats, before: ScannedFile | undefined): Promise<ScannedFile> {
  let current = status;
  for (let reads = 1; ; reads++) {
    const version = versionOf(current);
    if (before?.version === version) return before;
    if (current.size > RESOURCE.fileBytesMax) throw new TooLarge(version);
    const text = await readFile(path, 'utf8');
    current = await stat(path, { bigint: true });
    if (versionOf(current) === version || reads === RESOURCE.readsMax)
      return { text, digest: hash('sha256', text), saysAnything: saysAnything(text), version };
  }
}

function saysAnything(text: string): boolean {
  return /^[^\s#-]/m.test(text) || /^-[^-]/m.test(text);
}

class TooLarge extends Error {
  readonly version: string;

  constructor(version: string) {
    super(`it is larger than ${RESOURCE.fileBytesMax} bytes`);
    this.version = version;
  }
}

/** What is told of a file that cannot be read; one that is too large is looked through once, not with every scan. */
async function unreadFile(path: string, cause: unknown, before: UnreadFile | undefined): Promise<UnreadFile> {
  const why = reasonOf(cause);
  const problem = unreadable(path, cause);
  if (!(cause instanceof TooLarge)) return { why, outline: '', version: '', problem };
  const { version } = cause;
  return before?.version === version ? before : { why, outline: await outlineOf(path), version, problem };
}

/** As much as two words of an outline take, so that none is lost between two pieces. */
const OVERLAP_CHARS = 512;
const OUTLINE = /^---(?=\s|$)|\b(?:kind|namespace)["']?\s*:\s*["']?[A-Za-z0-9.-]+/gm;

/**
 * What a file says of kinds and namespaces, and where its documents begin: all that is needed to know whom it may restrict. It is
 * read in pieces, so that its size costs no memory.
 */
async function outlineOf(path: string): Promise<string> {
  const kept: string[] = [];
  let keptChars = 0;
  let end = '';
  try {
    for await (const piece of createReadStream(path, { encoding: 'utf8', highWaterMark: RESOURCE.outlinePieceBytes })) {
      const text = `${end}${piece}`;
      // Words in the overlap come twice, which says nothing new.
      for (const [words] of text.matchAll(OUTLINE)) {
        keptChars += words.length + 1;
        if (keptChars <= RESOURCE.outlineCharactersMax) kept.push(words);
      }
      end = text.slice(-OVERLAP_CHARS);
    }
  } catch {
    // What was found until here is more than nothing; the finding says that the file cannot be read.
  }
  return kept.join('\n');
}

function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
}

function unreadable(path: string, cause: unknown): WeftError {
  const why = reasonOf(cause);
  return new WeftError('WEFT_CONFIG_FILE', `cannot read ${path}: ${why}`, {
    cause,
    remedy: 'make it readable; until then what it said before stays in force',
  });
}

function reasonOf(cause: unknown): string {
  return refusalOf(cause);
}

function missingRoot(root: string, cause: unknown): WeftError {
  const isFile = cause instanceof Error && 'code' in cause && cause.code === 'ENOTDIR';
  const isGone = isMissing(cause) && !isFile;
  const message = isGone
    ? `the configuration directory ${root} does not exist`
    : `cannot read the configuration directory ${root}: ${refusalOf(cause)}`;
  return new WeftError('WEFT_CONFIG_DIRECTORY', message, {
    cause,
    remedy: 'create it, or name the folder that holds your YAML files',
  });
}
