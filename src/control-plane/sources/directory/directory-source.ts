import { isDeepStrictEqual } from 'node:util';
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
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { chooseWinners, type Winner } from '#control-plane/sources/choose-winners.ts';
import { type FileState, readFileState } from '#control-plane/sources/file-state.ts';
import type { Origin } from '#protocol/api/control.ts';
import { readResourceFile } from './resource-file.ts';

/** path → text of every configuration file. */
export type FileSnapshot = ReadonlyMap<string, string>;

/** What a new content of the directory changed. */
export type SourceUpdate = {
  /** Resources that are new or differ from what was in force. */
  upserted: readonly Resource[];
  removed: readonly ResourceName[];
  /** Everything that is wrong with the files now, in order of place. */
  findings: readonly Finding[];
};

/**
 * The resources of a directory of YAML. A document that became invalid keeps its last good version in
 * force; one that is gone is removed; of two with the same identity the first (by path, then position) counts.
 */
export class DirectorySource {
  readonly #parser: ResourceParser;
  #files = new Map<string, FileState>();
  #winners: ReadonlyMap<ResourceName, Winner> = new Map();

  constructor(parser: ResourceParser) {
    this.#parser = parser;
  }

  /** Takes the directory's new content; only files whose text changed are read again. */
  apply(snapshot: FileSnapshot): SourceUpdate {
    const files = new Map<string, FileState>();
    for (const path of [...snapshot.keys()].sort(compareText)) {
      const text = snapshot.get(path) ?? '';
      const before = this.#files.get(path);
      files.set(path, before?.text === text ? before : readFileState(path, text, before ?? null, this.#parser));
    }
    const { winners, findings: duplicates } = chooseWinners(files, this.#winners);
    const upserted: Resource[] = [];
    for (const [name, { resource }] of winners) {
      if (!isDeepStrictEqual(this.#winners.get(name)?.resource, resource)) upserted.push(resource);
    }
    const removed = [...this.#winners.keys()].filter((name) => !winners.has(name));
    this.#files = files;
    this.#winners = winners;
    const findings = [...files.values()]
      .flatMap((file) => file.findings)
      .concat(duplicates)
      .sort(byPlace);
    return { upserted, removed, findings };
  }

  /** The resources in force. */
  resources(): Resource[] {
    return [...this.#winners.values()].map(({ resource }) => resource);
  }

  /** Gives problems that were found later (by the index, say) their place in the files. */
  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>): Finding[] {
    const byFile = Map.groupBy(problems.keys(), (name) => this.#winners.get(name)?.file ?? '');
    const findings = [...byFile].flatMap(([file, names]) => {
      const entries = readResourceFile(file, this.#files.get(file)?.text ?? '', this.#parser).entries;
      return names.flatMap((name) => {
        const entry = entries.find((candidate) => candidate.name === name);
        const origin = (path: FieldPath): Origin =>
          file === '' ? objectOrigin(name, path) : fileOrigin(file, entry?.locate(path) ?? { line: 1, column: 1 });
        return (problems.get(name) ?? []).map((one) => findingOf(one, name, origin(one.path)));
      });
    });
    return findings.sort(byPlace);
  }
}
