import type { MeshDefinitions } from '#control-plane/index/kind-definition.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import {
  byPlace,
  errorAt,
  type FieldPath,
  type Finding,
  fileOrigin,
  findingOf,
  objectOrigin,
  type Problem,
  warningAt,
} from '#control-plane/resources/finding.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile, standInsOf } from '#control-plane/sources/directory/resource-file.ts';
import type { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import { type Reading, ResourceLedger } from '#control-plane/sources/ledger.ts';
import type { Source, SourceChange } from '#control-plane/sources/source.ts';
import type { Origin } from '#protocol/api/control.ts';

/** path → text of every configuration file. */
export type FileSnapshot = ReadonlyMap<string, string>;

/** path → its new text, null of a file that is gone. */
export type FileChanges = ReadonlyMap<string, string | null>;

/**
 * path → why a file or folder cannot be read now, and what little of it is known: lines that tell kinds and namespaces. What it
 * said before is in the snapshot, if anything is.
 */
export type UnreadFiles = ReadonlyMap<string, { why: string; outline: string }>;

/**
 * Follows the files below a directory. Resolves once the first content was told; a problem (a file that cannot be read) leaves
 * what was told before in force. Errors: when the directory cannot be read at the start.
 */
export type WatchFiles = (listener: {
  /** The first call brings every file there is, the others those whose text changed, null where it is gone; and all that cannot be read. */
  onFiles(changed: FileChanges, unread?: UnreadFiles): void;
  onProblem(problem: Error): void;
  /** Everything that cannot be read as of now, a sentence each, and files that are passed over. */
  onStanding?(problems: readonly string[], ignored: readonly string[]): void;
}) => Promise<{ close(): void }>;

/** What a directory of YAML needs; `lastGood` keeps what may be needed after a restart. */
export type DirectoryOptions = { parser: ResourceParser; watch: WatchFiles; lastGood: LastGoodVersions };

/** A directory of YAML as a source: its resources are those of its files, whose text is looked at whenever it changes. */
export function directorySource({ parser, watch, lastGood }: DirectoryOptions): Source {
  const files = new ConfigFiles(parser);
  let watching: { close(): void } | null = null;
  let standing: readonly string[] = [];
  return {
    async start(sink) {
      for (const [file, documents] of await lastGood.load()) files.remember(file, documents);
      watching = await watch({
        onFiles(changed, unread) {
          const { read, ...change } = files.change(changed, unread);
          for (const file of read) lastGood.keep(file, files.ledger.lastGood(file));
          sink.change(change);
        },
        onProblem: (problem) => sink.trouble(problem),
        onStanding(problems, ignored) {
          files.passOver(ignored);
          standing = problems.map((problem) => `${problem}; what it said before is in force`);
        },
      });
    },
    async stop() {
      watching?.close();
      await lastGood.settled();
    },
    problems: () => [...standing, ...lastGood.problems()],
    findings: () => files.findings(),
    locate: (problems) => files.locate(problems),
    // Files are their author's: nothing is written into them. The status page shows what was reported.
    reportConditions: (changed) => files.ledger.reportConditions(changed),
    conditions: () => files.ledger.conditions(),
  };
}

/** The resources of a set of YAML files; the ledger decides which document counts, in order of path and position. */
export class ConfigFiles {
  readonly ledger = new ResourceLedger();
  readonly #parser: ResourceParser;
  readonly #texts = new Map<string, string>();
  /** Changed, and not taken yet: more than those just told where taking them failed. */
  readonly #waiting = new Set<string>();
  #unread: UnreadFiles = new Map();
  #ignored: readonly string[] = [];
  /** Files of which all that is known was kept before a restart: after the first look, those below a folder that cannot be read. */
  #lost: ReadonlySet<string> = new Set();
  #hasLooked = false;

  constructor(parser: ResourceParser) {
    this.#parser = parser;
  }

  /** Before the first `apply`: what the last good versions of a file's resources were read from. */
  remember(file: string, documents: readonly object[]): void {
    const versions = documents.flatMap((document) => {
      // A newer Weft may find fault with what an older one took: then it is as if nothing had been kept.
      const reading = this.#parser.read(document);
      return reading.kind === 'resource' ? [{ resource: reading.resource, document }] : [];
    });
    this.ledger.remember(file, versions);
    this.#lost = new Set([...this.#lost, file]);
  }

  /** Takes the names of files that are not read, which are told. */
  passOver(paths: readonly string[]): void {
    this.#ignored = paths;
  }

  /** Takes the content of all files. */
  apply(texts: FileSnapshot, unread?: UnreadFiles): SourceChange {
    const gone = [...this.#texts.keys()].filter((path) => !texts.has(path));
    const now = [...texts].filter(([path, text]) => this.#texts.get(path) !== text);
    return this.change(new Map([...now, ...gone.map((path): [string, null] => [path, null])]), unread);
  }

  /** Takes what changed: only that is read again. `read`: which files that were. */
  change(changed: FileChanges, unread: UnreadFiles = new Map()): SourceChange & { read: readonly string[] } {
    for (const [path, text] of changed) {
      if (text === null) this.#texts.delete(path);
      else this.#texts.set(path, text);
      this.#waiting.add(path);
    }
    for (const path of [...unread.keys(), ...this.#unread.keys()])
      if (this.#unread.get(path)?.why !== unread.get(path)?.why) this.#waiting.add(path);
    const lost = new Set([...this.#lost].filter((file) => !this.#texts.has(file) && folderOf(file, unread) !== null));
    for (const path of this.#lost) if (!this.#hasLooked || !lost.has(path)) this.#waiting.add(path);
    const isKnown = (path: string): boolean => this.#texts.has(path) || unread.has(path) || lost.has(path);
    const readings = [...this.#waiting]
      .sort(compareText)
      .map((path): [string, Reading | null] => [path, isKnown(path) ? this.#readFile(path, unread) : null]);
    this.#lost = lost;
    this.#unread = unread;
    this.#hasLooked = true;
    const told = this.ledger.take(new Map(readings));
    this.#waiting.clear();
    return { ...told, read: readings.map(([path]) => path) };
  }

  /** What a file says; of one that cannot be read, what it said before, and what may be concluded from its outline. */
  #readFile(path: string, unread: UnreadFiles): Reading {
    const text = this.#texts.get(path);
    const reading: Reading = text === undefined ? { entries: [], findings: [] } : readResourceFile(path, text, this.#parser);
    const trouble = unread.get(path) ?? folderOf(path, unread);
    if (trouble === null) return reading;
    const origin = fileOrigin(path, { line: 1, column: 1 });
    // A former text that says nothing is no knowledge either: a large file that is being written begins as a small one.
    const standIns = reading.entries.length === 0 ? standInsOf(trouble.outline, path, this.#parser) : [];
    const finding = findingOf(unreadProblem(trouble.why), '', origin);
    const unknown = { name: null, resource: null, origin, findings: [finding], standIns };
    return { entries: [...reading.entries, unknown], findings: [...reading.findings, finding] };
  }

  /** Everything that is wrong with the files, in order of place. */
  findings(): Finding[] {
    return [...this.ledger.findings(), ...this.#ignored.map(ignoredFinding)].sort(byPlace);
  }

  /**
   * Gives problems of resources their place in the files. Positions are not kept, which would be most of the memory a file
   * takes; the few files with problems are read again.
   */
  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>): Finding[] {
    const byFile = Map.groupBy(problems.keys(), (name) => this.ledger.unitOf(name));
    const findings = [...byFile].flatMap(([file, names]) => {
      const entries = file === null ? [] : readResourceFile(file, this.#texts.get(file) ?? '', this.#parser).entries;
      return names.flatMap((name) => {
        const entry = entries.find((candidate) => candidate.name === name);
        // A workload that a node registered has problems, too, and no file.
        const originOf = (path: FieldPath): Origin =>
          file === null ? objectOrigin(name, path) : fileOrigin(file, entry?.locate(path) ?? { line: 1, column: 1 });
        return (problems.get(name) ?? []).map((problem) => findingOf(problem, name, originOf(problem.path)));
      });
    });
    return findings.sort(byPlace);
  }
}

/** Why the folder of a file cannot be read; null when it can. */
function folderOf(file: string, unread: UnreadFiles): { why: string; outline: string } | null {
  for (const [path, trouble] of unread) if (file.startsWith(`${path}/`)) return trouble;
  return null;
}

function ignoredFinding(path: string): Finding {
  const message = 'it is not read: only names that end in .yaml, .yml or .json are';
  const remedy = 'rename it if it holds resources, or keep it elsewhere (a name that begins with a dot is passed over)';
  return findingOf(warningAt('WEFT_FILE_IGNORED', [], message, remedy), '', fileOrigin(path, { line: 1, column: 1 }));
}

function unreadProblem(why: string): Problem {
  const message = `it cannot be read: ${why}; what it is known to have said stays in force`;
  return errorAt('WEFT_FILE_UNREADABLE', [], message, 'make it readable, or delete it if its resources are to go');
}

/**
 * Everything wrong with a set of files, as the control plane would report it, in order of place: documents
 * that it would reject, and references and policies that would not do what they say.
 */
export function validateFiles(
  snapshot: FileSnapshot,
  parser: ResourceParser,
  definitions: MeshDefinitions,
  options: MeshOptions = DEFAULT_MESH_OPTIONS,
  ignored: readonly string[] = [],
): Finding[] {
  const files = new ConfigFiles(parser);
  files.passOver(ignored);
  const { upserted } = files.apply(snapshot);
  const { problems } = new MeshIndex({ options, definitions }).apply({ upserted });
  return [...files.findings(), ...files.locate(problems)].sort(byPlace);
}
