import type { Condition } from '#control-plane/index/index-delta.ts';
import type { MeshDefinitions } from '#control-plane/index/kind-definition.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { byPlace, type Finding } from '#control-plane/resources/finding.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { digestOf, digestOfTexts, hashOf } from '#control-plane/resources/text-digest.ts';
import type { ResourceEditor } from '#control-plane/sources/editor.ts';
import type { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import type { Source, SourceChange, SourceContent, SourceSink } from '#control-plane/sources/source.ts';
import type { Clock } from '#model/effects/clock.ts';
import { inTurns, type Soon, type Work, whenThere } from '#model/effects/work.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { CONTROL, RESOURCE } from '#model/settings/control-planes.ts';
import {
  type Batch,
  ConfigFiles,
  type FileChanges,
  type FileSnapshot,
  type UnreadFiles,
  type WantedDocument,
} from './config-files.ts';
import { directoryEditor, type EditFiles } from './directory-editor.ts';
import type { DocumentReading, FileReading } from './resource-file.ts';

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

/** Reads documents elsewhere, so that who serves meanwhile goes on. Errors: when that cannot be done; then they are read here. */
export type ReadElsewhere = (wanted: readonly WantedDocument[]) => Promise<readonly DocumentReading[]>;

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

/** What was told while a batch is being read. */
type Pending = { changed: FileChanges; unread: UnreadFiles };

function merged(earlier: Pending | null, later: Pending | null): Pending | null {
  if (earlier === null || later === null) return earlier ?? later;
  return { changed: new Map([...earlier.changed, ...later.changed]), unread: later.unread };
}

/** A directory of YAML as a source: its resources are those of its files, whose text is looked at whenever it changes. */
export function directorySource(options: DirectoryOptions): Source & { editor(effects: EditFiles): ResourceEditor } {
  return new DirectorySource(options);
}

class DirectorySource implements Source {
  readonly #options: DirectoryOptions;
  readonly #files: ConfigFiles;
  #watching: { close(): void } | null = null;
  #standing: readonly string[] = [];
  #pending: Pending | null = null;
  #reading: Promise<void> | null = null;
  #stopped = false;
  /** Whether something was read; until then it is the first look. */
  #hasRead = false;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#files = new ConfigFiles(options.parser);
  }

  async start(sink: SourceSink): Promise<void> {
    const { lastGood, watch } = this.#options;
    for (const [file, documents] of await lastGood.load()) this.#files.remember(file, documents);
    this.#watching = await watch({
      onFiles: (changed, unread = new Map()) => {
        this.#pending = merged(this.#pending, { changed, unread });
        this.#next(sink);
      },
      onProblem: (problem) => sink.trouble(problem),
      onStanding: (problems, ignored) => {
        this.#files.passOver(ignored);
        this.#standing = problems.map((problem) => `${problem}; what it said before is in force`);
      },
    });
    await this.#reading;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watching?.close();
    await this.#options.lastGood.settled();
  }

  /** Writes where this reads. */
  editor(effects: EditFiles): ResourceEditor {
    const look = async (path: string): Promise<void> => {
      await effects.look(path);
      while (this.#reading !== null) await this.#reading;
    };
    return directoryEditor(this.#files, this.#options.parser, { ...effects, look });
  }

  lead(leads: boolean): void {
    this.#options.lastGood.lead(leads);
  }

  content(): SourceContent | null {
    if (this.#reading !== null || this.#pending !== null || !this.#hasRead) return null;
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

  /** Batches are taken one after the other, as they were told: what moved from one file to another is never gone between. */
  #next(sink: SourceSink): void {
    if (this.#reading !== null || this.#pending === null) return;
    const pending = this.#pending;
    this.#pending = null;
    // A mistake of ours: what could not be taken is tried again with the next change.
    const keep = (): void => {
      this.#pending = merged(pending, this.#pending);
    };
    const taken = this.#attempt(pending, sink, keep);
    if (!(taken instanceof Promise)) return;
    this.#reading = taken.finally(() => {
      this.#reading = null;
    });
    this.#reading.then(() => this.#next(sink)).catch((error: unknown) => sink.trouble(unforeseen(error)));
  }

  #attempt(pending: Pending, sink: SourceSink, onFailure: () => void): Soon<void> {
    const failed = (error: unknown): never => {
      onFailure();
      throw error;
    };
    try {
      const taken = this.#round(pending, sink);
      return taken instanceof Promise ? taken.catch(failed) : taken;
    } catch (error) {
      return failed(error);
    }
  }

  /** All of it in this turn when that is little. */
  #round(pending: Pending, sink: SourceSink): Soon<void> {
    const looked = this.#hasRead ? undefined : this.#looked(pending, sink);
    this.#hasRead = true;
    const batch = whenThere(looked, () => this.#inTurns(this.#files.preparing(pending.changed, pending.unread)));
    return whenThere(batch, (prepared) =>
      whenThere(this.#read(prepared, sink), (readings) =>
        whenThere(this.#inTurns(this.#taking(prepared, readings)), (change) =>
          this.#stopped || change === null ? undefined : sink.change(change),
        ),
      ),
    );
  }

  /** For all that is in force by files of these texts. */
  #wordFor(texts: string): string {
    return hashOf(`${texts} ${this.#options.lastGood.digest()}`);
  }

  /** Takes over what was made of the same text before a restart. */
  #looked({ changed, unread }: Pending, sink: SourceSink): Soon<void> {
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

  #read({ wanted }: Batch, sink: SourceSink): Soon<readonly DocumentReading[]> {
    const { readElsewhere } = this.#options;
    if (readElsewhere === undefined || sizeOf(wanted) <= RESOURCE.readAtOnceCharactersMax) return this.#files.read(wanted);
    return readElsewhere(wanted).catch((error: unknown) => {
      sink.trouble(readHere(error));
      return this.#files.read(wanted);
    });
  }

  *#taking(batch: Batch, readings: readonly DocumentReading[]): Work<SourceChange | null> {
    if (this.#stopped) return null;
    const { read, ...change } = yield* this.#files.taking(batch, readings);
    for (const file of read) {
      this.#options.lastGood.keep(file, this.#files.ledger.lastGood(file));
      yield;
    }
    return change;
  }
}

function sizeOf(wanted: readonly WantedDocument[]): number {
  return wanted.reduce((sum, { text }) => sum + text.length, 0);
}

function readHere(cause: unknown): WeftError {
  return new WeftError('WEFT_READER', `the thread that reads resources has failed: ${messageOf(cause)}`, {
    cause,
    remedy: 'nothing to do: they are read all the same, and meanwhile nobody else is served',
  });
}

function unforeseen(cause: unknown): WeftError {
  return new WeftError('WEFT_CONFIG_DIRECTORY', `the resources could not be taken: ${messageOf(cause)}`, {
    cause,
    remedy: 'report this mistake of the program; the resources that were in force stay, and the next change is read',
  });
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
