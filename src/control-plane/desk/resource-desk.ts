import { isDeepStrictEqual } from 'node:util';
import { kindNamed } from '#control-plane/desk/kind-names.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import { DEFAULT_NAMESPACE } from '#control-plane/resources/metadata.ts';
import { identityOfName, nameOf, type ResourceName } from '#control-plane/resources/resource.ts';
import type { WantedDocument } from '#control-plane/sources/directory/config-files.ts';
import type { DocumentReading } from '#control-plane/sources/directory/resource-file.ts';
import type { ResourceEditor } from '#control-plane/sources/editor.ts';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { FindingStatus, Origin } from '#protocol/api/control.ts';
import type {
  AppliedResource,
  ComparedResource,
  DeletedResource,
  GivenResource,
  ListAnswer,
  ListedResource,
  ListRequest,
} from '#protocol/api/resources.ts';

/** What the desk works with. */
export type DeskOptions = {
  editor: ResourceEditor;
  /** Reads documents as the source does, however large they are. */
  read: (wanted: readonly WantedDocument[]) => Promise<readonly DocumentReading[]>;
  /** Every kind that is read, and whether its resources are in a namespace. */
  kinds: readonly { kind: string; namespaced: boolean }[];
  /** Everything wrong with the configuration now. */
  findings: () => readonly Finding[];
  log: Log;
};

/** What was given, once it is read. name null: nobody can tell which resource it is. */
type Read = { given: GivenResource; name: ResourceName | null; isGood: boolean; isForeign: boolean; findings: Finding[] };

/** Resources as a person hands them in and asks for them: each is checked as the source would, and one that is bad is refused alone. */
export class ResourceDesk {
  readonly #options: DeskOptions;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Keeps what is good of what was given; dryRun: says only what would become of it. */
  async apply(given: readonly GivenResource[], dryRun: boolean): Promise<AppliedResource[]> {
    const applied: AppliedResource[] = [];
    for (const one of await this.#read(given)) applied.push(await this.#applyOne(one, dryRun));
    if (dryRun) return applied;
    const names = new Set(applied.flatMap(({ resource, outcome }) => (outcome === 'refused' ? [] : [resource])));
    const later = Map.groupBy(this.#findingsOf(names), ({ resource }) => resource);
    return applied.map((one) => ({ ...one, findings: later.get(one.resource) ?? one.findings }));
  }

  /** Takes away what is kept under the names of what was given. */
  async removeGiven(given: readonly GivenResource[]): Promise<DeletedResource[]> {
    const removed: DeletedResource[] = [];
    for (const { name, isForeign, findings } of await this.#read(given)) {
      if (name !== null) removed.push(await this.#removeOne(name));
      else if (!isForeign) removed.push({ resource: '', outcome: 'failed', findings });
    }
    return removed;
  }

  /** Errors: WEFT_KIND_UNREAD. */
  async remove(word: string, namespace: string, names: readonly string[]): Promise<DeletedResource[]> {
    const kind = this.#kind(word);
    const removed: DeletedResource[] = [];
    for (const name of names) removed.push(await this.#removeOne(this.#nameOf(kind, namespace, name)));
    return removed;
  }

  /** What is kept, beside what was given. */
  async compare(given: readonly GivenResource[]): Promise<ComparedResource[]> {
    return (await this.#read(given)).flatMap(({ given: { object }, name, isGood, isForeign, findings }) => {
      if (isForeign) return [];
      const before = name === null ? null : (this.#options.editor.find(name)?.object() ?? null);
      return [{ resource: name ?? '', before, after: isGood ? object : before, findings: isGood ? [] : findings }];
    });
  }

  /** Some of the resources that are kept, in no order. Errors: WEFT_KIND_UNREAD, WEFT_LIST_CHANGED. */
  list({ kind: word, namespace, name, after, objects }: ListRequest): ListAnswer {
    const kind = word === null ? null : this.#kind(word);
    const atMost = objects ? RESOURCE.listedObjectsMax : RESOURCE.listedMax;
    const resources: ListedResource[] = [];
    let last: string | null = null;
    let started = after === null;
    for (const full of this.#options.editor.names()) {
      if (!started) {
        started = full === after;
        continue;
      }
      const identity = identityOfName(full);
      if (kind !== null && identity.kind !== kind) continue;
      if (namespace !== null && identity.namespace !== namespace) continue;
      if (name !== null && identity.name !== name) continue;
      if (resources.length === atMost) return { resources, next: last };
      const listed = this.#listed(full, objects);
      if (listed !== null) resources.push(listed);
      last = full;
    }
    if (!started) {
      const remedy = 'ask again';
      throw new WeftError('WEFT_LIST_CHANGED', 'resources were removed while they were being listed', { remedy });
    }
    return { resources, next: null };
  }

  #listed(full: ResourceName, objects: boolean): ListedResource | null {
    const written = this.#options.editor.find(full);
    if (written === null) return null;
    const { origin, inForce } = written;
    const object = objects ? written.object() : null;
    return { ...identityOfName(full), origin, inForce, ...(object === null ? {} : { object }) };
  }

  async #read(given: readonly GivenResource[]): Promise<Read[]> {
    const readings = await this.#options.read(given.map(({ file, line, text }) => ({ file, line, text })));
    return given.map((one, at): Read => {
      const { entries = [], findings = [] } = readings[at] ?? {};
      const [entry] = entries;
      const name = entries.length === 1 ? (entry?.name ?? null) : null;
      const isGood = name !== null && (entry?.resource ?? null) !== null;
      return { given: one, name, isGood, isForeign: entries.length === 0, findings: [...findings] };
    });
  }

  async #applyOne({ given, name, isGood, isForeign, findings }: Read, dryRun: boolean): Promise<AppliedResource> {
    if (name === null || !isGood) {
      const outcome = isForeign ? 'ignored' : 'refused';
      return { resource: name ?? findings[0]?.resource ?? '', outcome, origin: null, findings };
    }
    const { editor, log } = this.#options;
    const before = editor.find(name);
    if (before?.inForce && isDeepStrictEqual(before.object(), given.object))
      return { resource: name, outcome: 'unchanged', origin: before.origin, findings };
    const outcome = before === null ? 'created' : 'configured';
    if (dryRun) return { resource: name, outcome, origin: before?.origin ?? null, findings };
    try {
      const origin = await editor.put({ name, text: given.text, object: given.object });
      log.info({ object: name, file: placeOf(origin) }, `resource ${outcome} by command`);
      return { resource: name, outcome, origin, findings };
    } catch (error) {
      return { resource: name, outcome: 'refused', origin: null, findings: [...findings, failure(error, name, given)] };
    }
  }

  async #removeOne(name: ResourceName): Promise<DeletedResource> {
    const { editor, log } = this.#options;
    try {
      if (!(await editor.remove(name))) return { resource: name, outcome: 'absent', findings: [] };
      log.info({ object: name }, 'resource deleted by command');
      return { resource: name, outcome: 'deleted', findings: [] };
    } catch (error) {
      return { resource: name, outcome: 'failed', findings: [failure(error, name, { file: '', line: 1 })] };
    }
  }

  #kind(word: string): string {
    return kindNamed(
      word,
      this.#options.kinds.map(({ kind }) => kind),
    );
  }

  #nameOf(kind: string, namespace: string, name: string): ResourceName {
    const namespaced = this.#options.kinds.find((one) => one.kind === kind)?.namespaced ?? true;
    return nameOf({ kind, name, namespace: namespaced ? namespace || DEFAULT_NAMESPACE : '' });
  }

  #findingsOf(names: ReadonlySet<string>): Finding[] {
    return names.size === 0 ? [] : this.#options.findings().filter(({ resource }) => names.has(resource));
  }
}

/** What could not be written, as a finding of what was given. Other errors are ours. */
function failure(error: unknown, resource: string, { file, line }: Pick<GivenResource, 'file' | 'line'>): FindingStatus {
  if (!(error instanceof WeftError)) throw error;
  const { code, message, remedy = '', cause } = error;
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  const origin: Origin = { kind: 'file', file, line, column: 1 };
  return { code, severity: 'error', origin, resource, fieldPath: '', message: `${message}${why}`, remedy };
}

function placeOf(origin: Origin): string {
  return origin.kind === 'file' ? `${origin.file}:${origin.line}` : origin.fieldPath;
}
