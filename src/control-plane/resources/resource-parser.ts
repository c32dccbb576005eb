import type { DocumentKind } from '#control-plane/resources/document-kind.ts';
import { ignoredFields } from '#control-plane/resources/field-table.ts';
import { errorAt, type FieldPath, type Finding, findingOf, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { DEFAULT_NAMESPACE, type RawMetadata, readMetadata } from '#control-plane/resources/metadata.ts';
import { nearestName } from '#control-plane/resources/nearest-name.ts';
import { nameOf, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import { createSchemaLookup, type SchemaLookup } from '#control-plane/resources/resource-schemas.ts';
import { fieldOf, isRecord, type StandIn } from '#control-plane/resources/stand-in.ts';
import { findUnknownFields } from '#control-plane/resources/unknown-fields.ts';
import type { Origin } from '#protocol/api/control.ts';

/** What one document turned out to be. */
export type Reading =
  | {
      kind: 'resource';
      name: ResourceName;
      resource: Resource;
      problems: readonly Problem[];
      /** What it was read from, for kinds whose last good version is to be kept; null for others. */
      document: object | null;
    }
  /**
   * Rejected. `name` is null when it cannot be told which resource it was meant to be. `standIn` takes its place where no
   * earlier version is known.
   */
  | { kind: 'rejected'; name: ResourceName | null; problems: readonly Problem[]; standIn: StandIn | null }
  /** Of a kind that Weft does not read. */
  | { kind: 'foreign'; subject: string; problems: readonly Problem[] };

/** Reads plain objects (from YAML or from an API server) as resources. */
export type ResourceParser = {
  /** `nameless`: what stands for a document without a name is called. */
  read(object: unknown, nameless?: string): Reading;
  /** What stands for a document of which only kind and namespace could be made out; null where nothing needs to. */
  standInFor(kind: string, namespace: string, name: string): StandIn | null;
};

/** A reader of `kinds`. `crds` holds the text of each file of config/crds by its name. */
export function createResourceParser(kinds: readonly DocumentKind[], crds: ReadonlyMap<string, string>): ResourceParser {
  const schemas = createSchemaLookup(crds);
  return {
    read: (object, nameless = 'unnamed') => withStandIn(readObject(object, kinds, schemas), object, kinds, nameless),
    standInFor(kind, namespace, name) {
      const meant = kinds.find((known) => known.kind === kind);
      return meant?.standIn?.({ kind, metadata: { name, namespace } }, name) ?? null;
    },
  };
}

/** A reading before it is known what stands for a rejected document. */
type BareReading = Exclude<Reading, { kind: 'rejected' }> | Omit<Extract<Reading, { kind: 'rejected' }>, 'standIn'>;

function withStandIn(reading: BareReading, object: unknown, kinds: readonly DocumentKind[], nameless: string): Reading {
  if (reading.kind !== 'rejected') return reading;
  const own = fieldOf(fieldOf(object, 'metadata'), 'name');
  const name = typeof own === 'string' && own !== '' ? own : nameless;
  return { ...reading, standIn: meantKind(object, kinds)?.standIn?.(object, name) ?? null };
}

/** The kind that a rejected document was most likely meant to be, however little of its head is right. */
function meantKind(object: unknown, kinds: readonly DocumentKind[]): DocumentKind | undefined {
  if (!isRecord(object)) return undefined;
  const { apiVersion, kind } = object;
  const group = typeof apiVersion === 'string' ? splitApiVersion(apiVersion)[0] : null;
  // Without a kind the group alone may tell: the strictest of its kinds stands first in the list.
  if (typeof kind !== 'string') return kinds.find((known) => known.group === group && known.standIn !== undefined);
  const nearest = nearestName(
    kind,
    kinds.map((one) => one.kind),
  );
  return kinds.find((known) => known.kind === kind) ?? kinds.find((known) => known.kind === nearest);
}

function readObject(object: unknown, kinds: readonly DocumentKind[], schemas: SchemaLookup): BareReading {
  if (!isRecord(object))
    return rejected(null, shapeError([], 'the document is not a resource', 'begin with apiVersion, kind and metadata'));
  const { apiVersion, kind } = object;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    const missing = typeof kind === 'string' ? 'apiVersion' : 'kind';
    return rejected(null, shapeError([missing], `"${missing}" is required`, `add ${missing}, such as ${EXAMPLES[missing]}`));
  }
  const [group, version] = splitApiVersion(apiVersion);
  const definition = kinds.find((known) => known.kind === kind && known.group === group);
  if (definition === undefined) return unknownKind(kind, apiVersion, object.metadata, kinds);
  const name = identify(object, definition);
  if (!definition.versions.includes(version)) return rejected(name, unknownVersion(definition, version));
  if (name === null) return rejected(null, ...badName(object, definition, version, schemas));
  return readKnown(object, definition, name, schemas(definition, version));
}

const EXAMPLES = { apiVersion: 'apiVersion: v1', kind: 'kind: Service' };

function readKnown(
  object: Record<string, unknown>,
  definition: DocumentKind,
  name: ResourceName,
  { schema, check }: ReturnType<SchemaLookup>,
): BareReading {
  const problems = findUnknownFields(object, schema, definition.unknownFields);
  // Before the check, which fills in defaults that nobody wrote.
  const ignored = ignoredFields(object, definition.fields);
  const mismatches = check(object);
  problems.push(...mismatches.values);
  if (mismatches.values.length === 0) {
    const ruled = definition.check(object);
    problems.push(...ruled);
    if (!ruled.some(isError)) problems.push(...mismatches.shapes);
  }
  if (problems.some(isError)) return { kind: 'rejected', name, problems };
  if (definition.isOurs?.(object) !== false) problems.push(...ignored);
  const metadata = readMetadata(object.metadata as RawMetadata, definition.namespaced);
  const document = definition.restricts === false ? null : object;
  return { kind: 'resource', name, resource: definition.read(object, metadata), problems, document };
}

/** Whether the problem rejects its document. */
export function isError({ severity }: Problem): boolean {
  return severity === 'error';
}

/** Where a field of the object that was read is written. */
export type Locate = (path: FieldPath, part: 'value' | 'key') => Origin;

/** The findings of one reading, at the places `locate` tells. */
export function findingsOf(reading: Reading, locate: Locate): Finding[] {
  const resource = reading.kind === 'foreign' ? reading.subject : (reading.name ?? '');
  return reading.problems.map((problem) => {
    const part = problem.code === 'WEFT_FIELD_UNKNOWN' || problem.code === 'WEFT_FIELD_IGNORED' ? 'key' : 'value';
    return findingOf(problem, resource, locate(problem.path, part));
  });
}

function splitApiVersion(apiVersion: string): [group: string, version: string] {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
}

/** Which resource a document is meant to be, as far as its head is sound; null otherwise. */
function identify(object: Record<string, unknown>, { kind, namespaced }: DocumentKind): ResourceName | null {
  const { metadata } = object;
  if (!isRecord(metadata)) return null;
  const { name, namespace } = metadata;
  if (typeof name !== 'string' || name === '') return null;
  if (namespace !== undefined && namespace !== null && typeof namespace !== 'string') return null;
  return nameOf({ kind, name, namespace: namespaced ? namespace || DEFAULT_NAMESPACE : '' });
}

function badName(object: unknown, definition: DocumentKind, version: string, schemas: SchemaLookup): Problem[] {
  const { values } = schemas(definition, version).check(object);
  const head = values.filter(({ path }) => path[0] === 'metadata');
  return head.length > 0 ? head : [shapeError(['metadata', 'name'], '"name" is required', 'add metadata.name')];
}

function unknownKind(kind: string, apiVersion: string, metadata: unknown, known: readonly DocumentKind[]): BareReading {
  const [group] = splitApiVersion(apiVersion);
  const kinds = known.map((one) => one.kind);
  const sameKind = known.find((one) => one.kind === kind);
  const nearest = nearestName(kind, kinds);
  // A group of its own may be somebody else's kind of that name; none at all was forgotten.
  if (sameKind !== undefined && (group === '' || nearestName(group, [sameKind.group]) !== null)) {
    return meantOther(['apiVersion'], `group "${group}" is unknown, did you mean "${sameKind.group}"?`, sameKind);
  }
  const meant = sameKind === undefined && nearest !== null ? known.find((one) => one.kind === nearest) : undefined;
  if (meant !== undefined && meant.group === group)
    return meantOther(['kind'], `kind "${kind}" is unknown, did you mean "${nearest}"?`, meant);
  const message = `Weft does not read ${kind} (${apiVersion}): it has no effect here`;
  const name = isRecord(metadata) && typeof metadata.name === 'string' ? metadata.name : '';
  const subject = `${kind} ${name}`.trim();
  return {
    kind: 'foreign',
    subject,
    problems: [warningAt('WEFT_KIND_UNKNOWN', ['kind'], message, `nothing to do, or use one of: ${kinds.join(', ')}`)],
  };
}

/** A known kind misspelt: whatever it provided before is taken for this document's, so it is not removed. */
function meantOther(path: FieldPath, message: string, meant: DocumentKind): BareReading {
  const apiVersion = `${meant.group}${meant.group === '' ? '' : '/'}${meant.versions[0]}`;
  const remedy = `write apiVersion: ${apiVersion} and kind: ${meant.kind}`;
  return { kind: 'rejected', name: null, problems: [warningAt('WEFT_KIND_UNKNOWN', path, message, remedy)] };
}

function unknownVersion({ kind, group, versions }: DocumentKind, version: string): Problem {
  const message = `version "${version}" of ${kind} is not read`;
  return errorAt('WEFT_VERSION_UNKNOWN', ['apiVersion'], message, `write ${group}${group === '' ? '' : '/'}${versions[0]}`);
}

function shapeError(path: FieldPath, message: string, remedy: string): Problem {
  return errorAt('WEFT_RESOURCE_SHAPE', path, message, remedy);
}

function rejected(name: ResourceName | null, ...problems: Problem[]): BareReading {
  return { kind: 'rejected', name, problems };
}
