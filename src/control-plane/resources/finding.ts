import { compareText } from '#control-plane/resources/metadata.ts';
import { identityOfName, type ResourceName } from '#control-plane/resources/resource.ts';
import type { FindingStatus, Origin } from '#protocol/api/control.ts';

/**
 * Every code a finding can carry, with what it means. Codes are stable: scripts and the error
 * reference rely on them.
 */
export const FINDING_CODES = {
  WEFT_YAML_SYNTAX: 'A document is not valid YAML.',
  WEFT_FILE_UNREADABLE: 'A file or folder of resources that cannot be read, or is too large.',
  WEFT_FILE_IGNORED: 'A file in the directory of resources that is not read, by its name.',
  WEFT_RESOURCE_SHAPE: 'A document is not a resource: apiVersion, kind or metadata.name is missing or malformed.',
  WEFT_RESOURCE_DUPLICATE: 'Two documents describe the same resource; the first one is used.',
  WEFT_KIND_UNKNOWN: 'A resource of a kind that Weft does not read; it has no effect.',
  WEFT_VERSION_UNKNOWN: 'A resource of a known kind in an API version that Weft does not read.',
  WEFT_FIELD_UNKNOWN: 'A field that the resource does not have.',
  WEFT_FIELD_IGNORED: 'A field, or a value of it, that has no effect here; the rest of the resource is in force.',
  WEFT_FIELD_INVALID: 'A field whose value is missing, of the wrong type or out of range.',
  WEFT_FIELD_CONFLICT: 'Fields that exclude or require one another.',
  WEFT_LIKELY_MISTAKE: 'Valid, but it most likely does not do what was meant.',
  WEFT_MATCHES_NOTHING: 'A policy that is in force, and selects or names nothing that is in the mesh now.',
  WEFT_NOT_ENFORCED: 'Something that cannot be enforced where it is asked for; it was refused or made stricter.',
  WEFT_REFERENCE_UNRESOLVED: 'A reference to something that does not exist.',
  WEFT_WAYPOINT_UNUSABLE: 'A waypoint that is named but cannot be used; traffic that needs it is refused.',
  WEFT_ADDRESS_CONFLICT: 'An address that could not be given out, or that two resources claim.',
  WEFT_WORKLOAD_DUPLICATE: 'Two nodes registered a workload of the same name.',
} as const;

/** One of the codes above. */
export type FindingCode = keyof typeof FINDING_CODES;

/** error: the document is rejected. warning: it is taken, but not all of it does what it says. */
export type Severity = 'error' | 'warning';

/** Where a value sits inside a resource: object keys and list indexes, outermost first. */
export type FieldPath = readonly (string | number)[];

/** Something wrong with a resource, before it is known where the resource came from. */
export type Problem = {
  code: FindingCode;
  severity: Severity;
  path: FieldPath;
  /** The exact value and what happens because of it. */
  message: string;
  /** The smallest edit that helps. */
  remedy: string;
};

/** A problem with its origin. An error means that the document was rejected. */
export type Finding = FindingStatus & { code: FindingCode };

/** A place in a file; both count from 1. */
export type Position = { line: number; column: number };

/** A problem that rejects the document. */
export function errorAt(code: FindingCode, path: FieldPath, message: string, remedy: string): Problem {
  return { code, severity: 'error', path, message, remedy };
}

/** A problem that the author should know of. */
export function warningAt(code: FindingCode, path: FieldPath, message: string, remedy: string): Problem {
  return { code, severity: 'warning', path, message, remedy };
}

/** A problem where it was found; `resource` is what it is about, as a person reads it. */
export function findingOf({ code, severity, path, message, remedy }: Problem, resource: string, origin: Origin): Finding {
  return { code, severity, origin, resource, fieldPath: formatFieldPath(path), message, remedy };
}

/** The origin of what a file says. */
export function fileOrigin(file: string, { line, column }: Position): Origin {
  return { kind: 'file', file, line, column };
}

/** The origin of what an object without a file says. */
export function objectOrigin(name: ResourceName, path: FieldPath): Origin {
  return { kind: 'object', object: identityOfName(name), fieldPath: formatFieldPath(path) };
}

/** `spec.rules[0].name`; keys that are no plain words are quoted: `metadata.labels["a/b"]`. */
export function formatFieldPath(path: FieldPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** `file:line:column`, or `Kind namespace/name field` for an object. */
export function formatOrigin(origin: Origin): string {
  if (origin.kind === 'file') return `${origin.file}:${origin.line}:${origin.column}`;
  const { kind, namespace, name } = origin.object;
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name} ${origin.fieldPath}`.trimEnd();
}

/** The lines a person reads: place, severity, resource, field and sentence; then the remedy. An object's name is its place. */
export function formatFinding(finding: Finding): string {
  const { origin } = finding;
  const place = origin.kind === 'file' ? `${formatOrigin(origin)}: ` : '';
  const subject = [finding.resource, finding.fieldPath].filter((part) => part !== '').join(' ');
  const sentence = subject === '' ? finding.message : `${subject}: ${finding.message}`;
  return `${place}${finding.severity}: ${sentence} [${finding.code}]\n  remedy: ${finding.remedy}`;
}

/** Every finding in order of place, and one line that counts them. */
export function formatFindings(findings: readonly Finding[]): string {
  const errors = findings.filter((finding) => finding.severity === 'error').length;
  const total = `${count(errors, 'error')}, ${count(findings.length - errors, 'warning')}`;
  return [...findings].sort(byPlace).map(formatFinding).concat(total).join('\n');
}

/** Order of findings for a reader: objects by kind, namespace, name and field; then files by name, line and column. */
export function byPlace({ origin: a }: Finding, { origin: b }: Finding): number {
  if (a.kind === 'file' && b.kind === 'file') return compareText(a.file, b.file) || a.line - b.line || a.column - b.column;
  if (a.kind === 'file' || b.kind === 'file') return a.kind === 'file' ? 1 : -1;
  return (
    compareText(a.object.kind, b.object.kind) ||
    compareText(a.object.namespace, b.object.namespace) ||
    compareText(a.object.name, b.object.name) ||
    compareText(a.fieldPath, b.fieldPath)
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
