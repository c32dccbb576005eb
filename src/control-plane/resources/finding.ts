import type { FindingCode } from '#control-plane/resources/finding-codes.ts';

/** error: the document is rejected. warning: it is taken, but not all of it does what it says. */
export type Severity = 'error' | 'warning';

/** Where a value sits inside a resource: object keys and list indexes, outermost first. */
export type FieldPath = readonly (string | number)[];

/** Something wrong with a resource, before it is known which file the resource came from. */
export type Problem = {
  code: FindingCode;
  severity: Severity;
  path: FieldPath;
  /** The exact value and what happens because of it. */
  message: string;
  /** The smallest edit that helps. */
  remedy: string;
};

/** A problem with its place. An error means that the document was rejected. */
export type Finding = {
  code: FindingCode;
  severity: Severity;
  /** '' when the resource did not come from a file. */
  file: string;
  /** From 1; 0 when there is no file. */
  line: number;
  column: number;
  /** `Kind namespace/name`, or '' when the document does not say. */
  resource: string;
  /** For example `spec.rules[0].from[1].source.ipBlocks[0]`; '' for the whole document. */
  fieldPath: string;
  message: string;
  remedy: string;
};

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

/** A problem where it was found. */
export function findingOf(problem: Problem, resource: string, file: string, position: Position): Finding {
  const { code, severity, path, message, remedy } = problem;
  return { code, severity, file, ...position, resource, fieldPath: formatFieldPath(path), message, remedy };
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

/** The lines a person reads: place, severity, resource, field and sentence; then the remedy. */
export function formatFinding(finding: Finding): string {
  const place = finding.file === '' ? '' : `${finding.file}:${finding.line}:${finding.column}: `;
  const subject = [finding.resource, finding.fieldPath].filter((part) => part !== '').join(' ');
  const sentence = subject === '' ? finding.message : `${subject}: ${finding.message}`;
  return `${place}${finding.severity}: ${sentence} [${finding.code}]\n  remedy: ${finding.remedy}`;
}

/** Every finding in order of file and line, and one line that counts them. */
export function formatFindings(findings: readonly Finding[]): string {
  const errors = findings.filter((finding) => finding.severity === 'error').length;
  const total = `${count(errors, 'error')}, ${count(findings.length - errors, 'warning')}`;
  return [...findings].sort(byPlace).map(formatFinding).concat(total).join('\n');
}

/** Order of findings for a reader: by file, then line, then column. */
export function byPlace(a: Finding, b: Finding): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
