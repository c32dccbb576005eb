import type { Condition } from '#control-plane/index/index-delta.ts';
import {
  type FieldPath,
  type Finding,
  findingOf,
  formatFieldPath,
  objectOrigin,
  type Problem,
} from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { findingsOf, type ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { ResourceLedger } from '#control-plane/sources/ledger.ts';
import type { Reading } from '#control-plane/sources/ledger-unit.ts';
import type { Source, SourceSink } from '#control-plane/sources/source.ts';
import type { Origin } from '#protocol/api/control.ts';

/** A Kubernetes object as far as its head is sound. */
export type PlainObject = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Readonly<Record<string, string>> };
  [field: string]: unknown;
};

/**
 * A source of objects that a test puts and removes, each under an id of its own, as an API server would tell them. It knows no
 * files: what is wrong with an object has the object for its origin.
 */
export class MemorySource implements Source {
  /** Every report of conditions, in order, as an API server would get them. */
  readonly reports: ReadonlyMap<ResourceName, readonly Condition[]>[] = [];
  readonly #parser: ResourceParser;
  readonly #ledger = new ResourceLedger();
  readonly #objects = new Map<string, PlainObject>();
  #sink: SourceSink | null = null;

  constructor(parser: ResourceParser, objects: Readonly<Record<string, PlainObject>> = {}) {
    this.#parser = parser;
    for (const [id, object] of Object.entries(objects)) this.put(id, object);
  }

  put(id: string, object: PlainObject): void {
    this.#objects.set(id, object);
    this.#tell(new Map([[id, this.#read(object)]]));
  }

  remove(id: string): void {
    this.#objects.delete(id);
    this.#tell(new Map([[id, null]]));
  }

  /** As if the API server could not be reached. */
  fail(problem: Error): void {
    this.#sink?.trouble(problem);
  }

  async start(sink: SourceSink): Promise<void> {
    this.#sink = sink;
    this.#tell(new Map([...this.#objects].map(([id, object]) => [id, this.#read(object)])));
  }

  async stop(): Promise<void> {
    this.#sink = null;
  }

  findings(): Finding[] {
    return this.#ledger.findings();
  }

  locate(problems: ReadonlyMap<ResourceName, readonly Problem[]>): Finding[] {
    return [...problems].flatMap(([name, list]) =>
      list.map((problem) => findingOf(problem, name, objectOrigin(name, problem.path))),
    );
  }

  reportConditions(changed: ReadonlyMap<ResourceName, readonly Condition[]>): void {
    this.reports.push(changed);
    this.#ledger.reportConditions(changed);
  }

  conditions(): Condition[] {
    return this.#ledger.conditions();
  }

  content(): null {
    return null;
  }

  problems(): string[] {
    return [];
  }

  #tell(units: ReadonlyMap<string, Reading | null>): void {
    // Before the start nobody is there to be told; the start tells of everything.
    if (this.#sink !== null) this.#sink.change(this.#ledger.take(units));
  }

  #read(object: PlainObject): Reading {
    // A copy: the parser fills in defaults, and the object is what the test (or an API server's cache) holds.
    const reading = this.#parser.read(structuredClone(object));
    const originAt = (path: FieldPath): Origin =>
      reading.kind !== 'foreign' && reading.name !== null ? objectOrigin(reading.name, path) : unnamed(object, path);
    const findings = findingsOf(reading, originAt);
    if (reading.kind === 'foreign') return { entries: [], findings };
    const resource = reading.kind === 'resource' ? reading.resource : null;
    return { entries: [{ name: reading.name, resource, origin: originAt([]), findings }], findings };
  }
}

/** The origin of an object that is of no kind we read, or whose kind is misspelt. */
function unnamed({ kind, metadata: { namespace = '', name } }: PlainObject, path: FieldPath): Origin {
  return { kind: 'object', object: { kind, namespace, name }, fieldPath: formatFieldPath(path) };
}
