import {
  byPlace,
  type FieldPath,
  type Finding,
  fileOrigin,
  findingOf,
  objectOrigin,
  type Problem,
} from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { Entry } from '#control-plane/sources/ledger-unit.ts';
import type { Origin } from '#protocol/api/control.ts';
import type { KnownFile } from './known-file.ts';
import { placesOf } from './resource-file.ts';
import type { RawDocument } from './yaml-documents.ts';

/** The file that describes a resource; `file` null: it is known by its name alone. */
export type Describing = { path: string; file: KnownFile | null };

/** Problems of a resource in their places, for as long as its document says the same at the same place. */
type Located = Describing & { entry: Entry | null; findings: readonly Finding[] };

/**
 * Gives problems of resources their place in files. Positions are not kept, which would be most of the memory a file takes; the few
 * documents with problems are read again, and not another time for the same list of problems. Nothing is read of files that are
 * what they were.
 */
export class ProblemPlaces {
  readonly #parser: ResourceParser;
  readonly #located = new WeakMap<readonly Problem[], Located>();

  constructor(parser: ResourceParser) {
    this.#parser = parser;
  }

  /** Findings in order of place; `fileOf` null: of a workload that a node registered, which has problems, too. */
  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>, fileOf: (name: ResourceName) => Describing | null): Finding[] {
    const found: (readonly Finding[])[] = [];
    const moved = new Map<string, { file: KnownFile | null; names: ResourceName[] }>();
    for (const [name, list] of problems) {
      const where = fileOf(name);
      const known = this.#located.get(list);
      if (where === null) found.push(list.map((problem) => findingOf(problem, name, objectOrigin(name, problem.path))));
      else if (known?.path === where.path && known.file === where.file) found.push(known.findings);
      else {
        const others = moved.get(where.path) ?? { file: where.file, names: [] };
        moved.set(where.path, others);
        others.names.push(name);
      }
    }
    for (const [path, { file, names }] of moved) {
      const documents = file === null ? new Map<ResourceName, Written>() : writtenIn(file, new Set(names));
      for (const name of names)
        found.push(this.#locateIn({ path, file }, documents.get(name) ?? null, name, problems.get(name) ?? []));
    }
    return found.flat().sort(byPlace);
  }

  #locateIn(where: Describing, written: Written | null, name: ResourceName, problems: readonly Problem[]) {
    const known = this.#located.get(problems);
    const entry = written?.entry ?? null;
    const isSame = known !== undefined && known.path === where.path && known.entry === entry;
    const findings = isSame ? known.findings : this.#read(where.path, written, name, problems);
    this.#located.set(problems, { ...where, entry, findings });
    return findings;
  }

  #read(path: string, written: Written | null, name: ResourceName, problems: readonly Problem[]): Finding[] {
    const places = written === null ? null : placesOf(path, written.raw, name, this.#parser);
    const originOf = (field: FieldPath): Origin => fileOrigin(path, places?.(field) ?? { line: 1, column: 1 });
    return problems.map((problem) => findingOf(problem, name, originOf(problem.path)));
  }
}

/** An entry, and the document that says it. */
type Written = { raw: RawDocument; entry: Entry };

function writtenIn(file: KnownFile, names: ReadonlySet<ResourceName>): Map<ResourceName, Written> {
  const found = new Map<ResourceName, Written>();
  for (const { raw, reading } of file.documents())
    for (const entry of reading.entries)
      if (entry.name !== null && names.has(entry.name) && !found.has(entry.name)) found.set(entry.name, { raw, entry });
  return found;
}
