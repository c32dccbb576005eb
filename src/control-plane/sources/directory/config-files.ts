import { byPlace, type Finding, fileOrigin, findingOf, type Problem } from '#control-plane/resources/finding.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import { identityOfName, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { SharedValues } from '#control-plane/resources/shared-values.ts';
import { isRecord } from '#control-plane/resources/stand-in.ts';
import { digestOf, hashOf } from '#control-plane/resources/text-digest.ts';
import type { WrittenResource } from '#control-plane/sources/editor.ts';
import { ResourceLedger } from '#control-plane/sources/ledger.ts';
import type { Reading } from '#control-plane/sources/ledger-unit.ts';
import type { SourceChange } from '#control-plane/sources/source.ts';
import { atOnce, type Work } from '#model/effects/work.ts';
import { KnownFile } from './known-file.ts';
import { ProblemPlaces } from './problem-places.ts';
import {
  type DocumentReading,
  type FileReading,
  ignoredFinding,
  isRestriction,
  joined,
  movedBy,
  namesRestriction,
  partsIn,
  readDocument,
  standInsOf,
  unreadProblem,
} from './resource-file.ts';
import { cutDocuments, type RawDocument } from './yaml-documents.ts';

/** path → text of every configuration file. */
export type FileSnapshot = ReadonlyMap<string, string>;

/** path → its new text, null of a file that is gone. */
export type FileChanges = ReadonlyMap<string, string | null>;

/**
 * path → why a file or folder cannot be read now, and what little of it is known: lines that tell kinds and namespaces. What it
 * said before is in the snapshot, if anything is.
 */
export type UnreadFiles = ReadonlyMap<string, { why: string; outline: string }>;

/** A document that nobody has read yet. */
export type WantedDocument = RawDocument & { file: string };

/** Files that have changed, whose `wanted` documents are to be read. */
export type Batch = {
  readonly wanted: readonly WantedDocument[];
  /** Every file that is to be taken anew; null: it is gone. */
  readonly files: ReadonlyMap<string, CutFile | null>;
};

/** A file that has changed, and what its documents say; null until they are read. */
type CutFile = { text: string; hash: string; pieces: readonly { raw: RawDocument; reading: DocumentReading | null }[] };

/** A file that is ready to be put in force: what all of its documents say. */
export type ReadFile = { text: string; hash: string; readings: readonly DocumentReading[] };

/**
 * The resources of a set of YAML files; the ledger decides which document counts, in order of path and position. Of a file that
 * changed only the documents that are others are read again.
 */
export class ConfigFiles {
  readonly ledger = new ResourceLedger();
  readonly #parser: ResourceParser;
  readonly #files = new Map<string, KnownFile>();
  #unread: UnreadFiles = new Map();
  #ignored: readonly string[] = [];
  /** Files of which all that is known was kept before a restart: after the first look, those below a folder that cannot be read. */
  #lost: ReadonlySet<string> = new Set();
  #hasLooked = false;
  /** Of files that nobody has looked at since the start: what was kept of them. */
  #kept: ReadonlyMap<string, FileReading> = new Map();
  /** File → what its last good versions were read from; null once it is known whether they are needed. */
  #lastGood: Map<string, readonly object[]> | null = new Map();
  readonly #places: ProblemPlaces;
  readonly #shared = new SharedValues();

  constructor(parser: ResourceParser) {
    this.#parser = parser;
    this.#places = new ProblemPlaces(parser);
  }

  /** Before the first `take`: what the last good versions of a file's resources were read from. */
  remember(file: string, documents: readonly object[]): void {
    this.#lastGood?.set(file, documents);
    this.#lost = new Set([...this.#lost, file]);
  }

  /** Before the first `preparing`: what the documents of files said when their text had the same hash. */
  rememberReadings(kept: ReadonlyMap<string, FileReading>): void {
    this.#kept = kept;
  }

  /** A word for the text of all files in force: other files, another word. Others may be told as if they were in force. */
  digest(): string {
    return digestOf(this.inForce().map(({ path, hash }) => [path, hash]));
  }

  /** Each file in force, and what its documents say, which is asked for when it is needed. */
  inForce(): { path: string; hash: string; reading(): FileReading }[] {
    return [...this.#files].map(([path, file]) => {
      const { hash } = file;
      return { path, hash, reading: () => ({ path, hash, readings: file.readings }) };
    });
  }

  /** Takes the names of files that are not read, which are told. */
  passOver(paths: readonly string[]): void {
    this.#ignored = paths;
  }

  /** Takes the content of all files, reading them at once. */
  apply(texts: FileSnapshot, unread: UnreadFiles = new Map()): SourceChange {
    const gone = [...this.#files.keys()].filter((path) => !texts.has(path)).map((path): [string, null] => [path, null]);
    const batch = atOnce(this.preparing(new Map([...texts, ...gone])));
    return atOnce(this.taking(atOnce(this.saying(batch, this.read(batch.wanted))), unread));
  }

  /** What documents say, read here and now. */
  read(wanted: readonly WantedDocument[]): DocumentReading[] {
    return wanted.map((document) => readDocument(document.file, document, this.#parser));
  }

  /**
   * Cuts what changed into documents, and finds those that were read before, piece by piece. Until it is taken no other text of
   * these files is.
   */
  *preparing(changed: FileChanges): Work<Batch> {
    const files = new Map<string, CutFile | null>();
    const wanted: WantedDocument[] = [];
    for (const [path, text] of changed) {
      const file = text === null ? null : this.#cut(path, text, hashOf(text));
      for (const { raw, reading } of file?.pieces ?? []) if (reading === null) wanted.push({ ...raw, file: path });
      files.set(path, file);
      yield;
    }
    return { wanted, files };
  }

  #cut(path: string, text: string, hash: string): CutFile {
    const raws = cutDocuments(text);
    const kept = this.#kept.get(path);
    if (kept?.hash === hash && raws.length === kept.readings.length)
      return { text, hash, pieces: raws.map((raw, at) => ({ raw, reading: kept.readings[at] ?? null })) };
    const known = new Map(
      this.#files
        .get(path)
        ?.documents()
        .map((document) => [document.raw.text, document]),
    );
    const pieces = raws.map((raw) => {
      const before = known.get(raw.text);
      return { raw, reading: before === undefined ? null : movedBy(before.reading, raw.line - before.raw.line) };
    });
    return { text, hash, pieces };
  }

  /** What the files of a batch say, piece by piece; `readings`: what its wanted documents say, in their order. */
  *saying({ files }: Batch, readings: readonly DocumentReading[]): Work<Map<string, ReadFile | null>> {
    const said = new Map<string, ReadFile | null>();
    let next = 0;
    for (const [path, file] of files) {
      const ofFile: DocumentReading[] = [];
      for (const { reading: known } of file?.pieces ?? []) {
        const reading = known ?? readings[next++] ?? NOTHING;
        if (known === null || !this.#hasLooked) this.#shared.below(reading);
        ofFile.push(reading);
        yield;
      }
      said.set(path, file === null ? null : { text: file.text, hash: file.hash, readings: ofFile });
      yield;
    }
    return said;
  }

  /**
   * Puts files in force, piece by piece; null: it is gone. `unread`: what cannot be read from now on. `read`: of which files the
   * last good versions may be others now.
   */
  *taking(
    files: ReadonlyMap<string, ReadFile | null>,
    unread: UnreadFiles = this.#unread,
  ): Work<SourceChange & { read: readonly string[] }> {
    const touched = new Set(files.keys());
    for (const [path, file] of files) {
      if (file === null) this.#files.delete(path);
      else this.#files.set(path, new KnownFile(file.text, file.hash, file.readings));
      yield;
    }
    for (const path of [...unread.keys(), ...this.#unread.keys()])
      if (this.#unread.get(path)?.why !== unread.get(path)?.why) touched.add(path);
    const lost = new Set([...this.#lost].filter((file) => !this.#files.has(file) && folderOf(file, unread) !== null));
    for (const path of this.#lost) if (!this.#hasLooked || !lost.has(path)) touched.add(path);
    this.#lost = lost;
    this.#unread = unread;
    this.#hasLooked = true;
    const units = new Map<string, Reading | null>();
    for (const path of [...touched].sort(compareText)) {
      units.set(path, this.#readingOf(path));
      yield;
    }
    yield* this.#remembering(units);
    const change = yield* this.ledger.taking(units);
    return { ...change, read: [...new Set([...units.keys(), ...this.ledger.takeHeirs()])] };
  }

  /** Last good versions are of use at the first look alone, and only where something is not good: reading them takes long. */
  *#remembering(units: ReadonlyMap<string, Reading | null>): Work<void> {
    const isGood = (reading: Reading | null) => reading?.entries.every(({ resource }) => resource !== null) !== false;
    if (this.#lastGood !== null && ![...units.values()].every(isGood)) {
      for (const [file, documents] of this.#lastGood) {
        const versions: { resource: Resource; document: object }[] = [];
        for (const document of documents) {
          // A newer Weft may find fault with what an older one took: then it is as if nothing had been kept.
          const reading = this.#parser.read(document);
          if (reading.kind === 'resource') versions.push({ resource: reading.resource, document });
          yield;
        }
        this.ledger.remember(file, versions);
      }
    }
    this.#lastGood = null;
    this.#kept = new Map();
  }

  /**
   * What a file says, null of one that is gone; of one that cannot be read, what it said before, and what may be concluded from
   * its outline.
   */
  #readingOf(path: string): Reading | null {
    const file = this.#files.get(path);
    const trouble = this.#unread.get(path) ?? folderOf(path, this.#unread);
    const isKnown = file !== undefined || this.#unread.has(path) || this.#lost.has(path);
    if (!isKnown) return null;
    const reading = joined(this.documentsOf(path));
    if (trouble === null) return reading;
    const origin = fileOrigin(path, { line: 1, column: 1 });
    // A former text that says nothing is no knowledge either: a large file that is being written begins as a small one.
    const standIns = reading.entries.length === 0 ? standInsOf(trouble.outline, path, this.#parser) : [];
    const finding = findingOf(unreadProblem(trouble.why), '', origin);
    const unknown = { name: null, resource: null, origin, findings: [finding], standIns };
    return { entries: [...reading.entries, unknown], findings: [...reading.findings, finding] };
  }

  /** What the documents of a file say, one after the other. */
  documentsOf(path: string): readonly DocumentReading[] {
    return this.#files.get(path)?.readings ?? [];
  }

  /** Whether a file restricts something, as it is in force or by a new text. */
  restricts(path: string, text: string | null = null): boolean {
    if (text !== null && namesRestriction(text, this.#parser)) return true;
    return [...this.ledger.namesIn(path)].some((name) => isRestriction(identityOfName(name).kind, this.#parser));
  }

  /** What a file in force says and a new text of it does not; null: it is gone. */
  droppedBy(path: string, file: ReadFile | null): ResourceName[] {
    const before = this.ledger.namesIn(path);
    if (before.size === 0) return [];
    const stays = new Set(file?.readings.flatMap(({ entries }) => entries.map(({ name }) => name)));
    return [...before].filter((name) => !stays.has(name));
  }

  /** What a file says of a resource, as it is written; null when it says nothing. */
  writtenIn(path: string, name: ResourceName): WrittenResource | null {
    for (const { raw, reading } of this.#files.get(path)?.documents() ?? []) {
      const entry = reading.entries.find((one) => one.name === name);
      if (entry === undefined) continue;
      const object = (): object | null => {
        const part = partsIn(path, raw, this.#parser).find((one) => one.entry?.name === name);
        return isRecord(part?.object) ? part.object : null;
      };
      return { origin: entry.origin, inForce: entry.resource !== null && this.ledger.unitOf(name) === path, object };
    }
    return null;
  }

  /** Everything that is wrong with the files, in order of place. */
  findings(): Finding[] {
    return [...this.ledger.findings(), ...this.#ignored.map(ignoredFinding)].sort(byPlace);
  }

  /** Gives problems of resources their place in the files. */
  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>): Finding[] {
    return this.#places.locate(problems, (name) => {
      const path = this.ledger.unitOf(name);
      return path === null ? null : { path, file: this.#files.get(path) ?? null };
    });
  }
}

const NOTHING: DocumentReading = { entries: [], findings: [] };

/** Why the folder of a file cannot be read; null when it can. */
function folderOf(file: string, unread: UnreadFiles): { why: string; outline: string } | null {
  for (const [path, trouble] of unread) if (file.startsWith(`${path}/`)) return trouble;
  return null;
}
