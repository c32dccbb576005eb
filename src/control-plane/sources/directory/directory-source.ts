import type { Condition } from '#control-plane/index/index-delta.ts';
import type { MeshDefinitions } from '#control-plane/index/kind-definition.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { byPlace, type Finding } from '#control-plane/resources/finding.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { digestOf, digestOfTexts, hashOf } from '#control-plane/resources/text-digest.ts';
import type { ResourceEditor } from '#control-plane/sources/editor.ts';
import type { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import type { Source, SourceContent, SourceSink } from '#control-plane/sources/source.ts';
import type { Clock } from '#model/effects/clock.ts';
import { inTurns, type Soon, type Work, whenThere } from '#model/effects/work.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { ConfigFiles, type FileChanges, type FileSnapshot, type UnreadFiles } from './config-files.ts';
import { directoryEditor, type EditFiles } from './directory-editor.ts';
import { FileIntake, type ReadElsewhere } from './file-intake.ts';
import type { FileReading } from './resource-file.ts';

/**
 * Follows the files below a directory. Resolves once the first content was told; a problem (a file that cannot be read) leaves
 * what was told before in force. Errors: when the directory cannot be read at the start.
 */
export type WatchFiles = (listener: {
  /** The first call brings every file there is, the others those whose text changed, null where it is gone; and all that cannot be read. */
  onFiles(changed: FileChanges, unread?: UnreadFiles): void;
  onProblem(problem: Error): void;
  /** Whether a file that has changed is to be looked at before others. */
  isUrgent?(path: string): boolean;
  /** Everything that cannot be read as of now, a sentence each, and files that are passed over. */
  onStanding?(problems: readonly string[], ignored: readonly string[]): void;
}) => Promise<{ close(): void }>;

/** What a directory of YAML needs; `lastGood` keeps what may be needed after a restart. */
export type DirectoryOptions = {
  parser: ResourceParser;
  watch: WatchFiles;
  lastGood: LastGoodVersions;
  clock: Clock;
  /** For more text than is read in one turn; without it all is read here. */
  readElsewhere?: ReadElsewhere;
};

/** Files are kept in 256 groups by the hash of their path: a change writes those of one. */
const GROUP_DIGITS = 2;

/** A directory of YAML as a source: its resources are those of its files, whose text is looked at whenever it changes. */
export function directorySource(options: DirectoryOptions): Source & { editor(effects: EditFiles): ResourceEditor } {
  return new DirectorySource(options);
}

class DirectorySource implements Source {
  readonly #options: DirectoryOptions;
  readonly #files: ConfigFiles;
  #intake: FileIntake | null = null;
  #watching: { close(): void } | null = null;
  #standing: readonly string[] = [];

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#files = new ConfigFiles(options.parser);
  }

  async start(sink: SourceSink): Promise<void> {
    const { lastGood, watch, clock, readElsewhere } = this.#options;
    for (const [file, documents] of await lastGood.load()) this.#files.remember(file, documents);
    const intake = new FileIntake({
      ...{ files: this.#files, clock },
      ...(readElsewhere === undefined ? {} : { readElsewhere }),
      looked: (changed, unread) => this.#looked(changed, unread, sink),
      changed: ({ read, ...change }) => whenThere(this.#inTurns(this.#keeping(read)), () => sink.change(change)),
      trouble: (problem) => sink.trouble(problem),
    });
    this.#intake = intake;
    this.#watching = await watch({
      onFiles: (changed, unread = new Map()) => intake.tell(changed, unread),
      isUrgent: (path) => this.#files.restricts(path),
      onProblem: (problem) => sink.trouble(problem),
      onStanding: (problems, ignored) => {
        this.#files.passOver(ignored);
        this.#standing = problems.map((problem) => `${problem}; what it said before is in force`);
      },
    });
    await intake.begun;
  }

  async stop(): Promise<void> {
    this.#intake?.stop();
    this.#watching?.close();
    await this.#options.lastGood.settled();
  }

  /** Writes where this reads. */
  editor(effects: EditFiles): ResourceEditor {
    const look = async (path: string): Promise<void> => {
      await effects.look(path);
      await this.#intake?.settled(path);
    };
    return directoryEditor(this.#files, this.#options.parser, { ...effects, look });
  }

  lead(leads: boolean): void {
    this.#options.lastGood.lead(leads);
  }

  content(): SourceContent | null {
    if (this.#intake?.isIdle !== true) return null;
    const groups = Map.groupBy(this.#files.inForce(), ({ path }) => hashOf(path).slice(0, GROUP_DIGITS));
    const parts = [...groups].map(([key, files]) => {
      const revision = digestOf(files.map(({ path, hash }) => [path, hash]));
      return { key, revision, take: () => files.map((file) => file.reading()) };
    });
    return { digest: this.#wordFor(this.#files.digest()), parts };
  }

  problems(): string[] {
    return [...this.#standing, ...this.#options.lastGood.problems()];
  }

  findings(): Finding[] {
    return this.#files.findings();
  }

  locate(problems: Parameters<Source['locate']>[0]): Finding[] {
    return this.#files.locate(problems);
  }

  // Files are their author's: nothing is written into them. The status page shows what was reported.
  reportConditions(changed: Parameters<Source['reportConditions']>[0]): void {
    this.#files.ledger.reportConditions(changed);
  }

  conditions(): Condition[] {
    return this.#files.ledger.conditions();
  }

  /** For all that is in force by files of these texts. */
  #wordFor(texts: string): string {
    return hashOf(`${texts} ${this.#options.lastGood.digest()}`);
  }

  /** Takes over what was made of the same text before a restart. */
  #looked(changed: FileChanges, unread: UnreadFiles, sink: SourceSink): Soon<void> {
    // What cannot be read may be another one than it was.
    if (sink.looked === undefined || unread.size > 0) return;
    const digest = this.#inTurns(digestOfTexts(changed));
    return whenThere(digest, async (word) => {
      const kept = (await sink.looked?.(this.#wordFor(word))) ?? [];
      this.#files.rememberReadings(new Map((kept as readonly FileReading[]).map((file) => [file.path, file])));
    });
  }

  #inTurns<Result>(work: Work<Result>): Soon<Result> {
    return inTurns(work, this.#options.clock, CONTROL.serveTurnMs);
  }

  *#keeping(files: readonly string[]): Work<void> {
    for (const file of files) {
      this.#options.lastGood.keep(file, this.#files.ledger.lastGood(file));
      yield;
    }
  }
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
