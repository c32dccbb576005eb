import type { MeshDefinitions } from '#control-plane/index/kind-definition.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import {
  byPlace,
  type FieldPath,
  type Finding,
  fileOrigin,
  findingOf,
  objectOrigin,
  type Problem,
} from '#control-plane/resources/finding.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import { type Reading, ResourceLedger } from '#control-plane/sources/ledger.ts';
import type { Source, SourceChange } from '#control-plane/sources/source.ts';
import type { Origin } from '#protocol/api/control.ts';

/** path → text of every configuration file. */
export type FileSnapshot = ReadonlyMap<string, string>;

/**
 * Follows the files below a directory. Resolves once the first content was told; a problem (a file that cannot be read) leaves
 * what was told before in force. Errors: when the directory cannot be read at the start.
 */
export type WatchFiles = (listener: {
  onFiles(files: FileSnapshot): void;
  onProblem(problem: Error): void;
}) => Promise<{ close(): void }>;

/** A directory of YAML as a source: its resources are those of its files, whose text is looked at whenever it changes. */
export function directorySource({ parser, watch }: { parser: ResourceParser; watch: WatchFiles }): Source {
  const files = new ConfigFiles(parser);
  let watching: { close(): void } | null = null;
  return {
    async start(sink) {
      watching = await watch({
        onFiles: (snapshot) => sink.change(files.apply(snapshot)),
        onProblem: (problem) => sink.trouble(problem),
      });
    },
    async stop() {
      watching?.close();
    },
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
  #texts: FileSnapshot = new Map();

  constructor(parser: ResourceParser) {
    this.#parser = parser;
  }

  /** Takes the files' new content; only those whose text changed are read again. */
  apply(texts: FileSnapshot): SourceChange {
    const changed = new Map<string, Reading | null>();
    for (const path of [...texts.keys()].sort(compareText)) {
      const text = texts.get(path) ?? '';
      if (this.#texts.get(path) !== text) changed.set(path, readResourceFile(path, text, this.#parser));
    }
    for (const path of this.#texts.keys()) if (!texts.has(path)) changed.set(path, null);
    this.#texts = texts;
    return this.ledger.take(changed);
  }

  /** Everything that is wrong with the files, in order of place. */
  findings(): Finding[] {
    return this.ledger.findings().sort(byPlace);
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

/**
 * Everything wrong with a set of files, as the control plane would report it, in order of place: documents
 * that it would reject, and references and policies that would not do what they say.
 */
export function validateFiles(
  snapshot: FileSnapshot,
  parser: ResourceParser,
  definitions: MeshDefinitions,
  options: MeshOptions = DEFAULT_MESH_OPTIONS,
): Finding[] {
  const files = new ConfigFiles(parser);
  const { upserted } = files.apply(snapshot);
  const { problems } = new MeshIndex({ options, definitions }).apply({ upserted });
  return [...files.findings(), ...files.locate(problems)].sort(byPlace);
}
