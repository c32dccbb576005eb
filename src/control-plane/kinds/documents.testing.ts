import assert from 'node:assert/strict';
import test from 'node:test';
import { FINDING_CODES } from '#control-plane/resources/finding.ts';
import type { Resource } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import { readCrds } from '#platform/files/crds.ts';
import { CRD_FILES, KINDS } from './list.ts';

/** A reader of all kinds. */
export const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** A document of a kind, with `spec` as flow YAML on line 4; `head` is added to its metadata. */
export function documentOf(kind: string, spec: string, name = 'x', head = ''): string {
  const definition = KINDS.find((one) => one.kind === kind);
  assert.ok(definition !== undefined, kind);
  const { group, versions } = definition;
  const apiVersion = `${group}${group === '' ? '' : '/'}${versions[0]}`;
  const metadata = head === '' ? `{ name: ${name} }` : `{ name: ${name}, ${head} }`;
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: ${metadata}\nspec: ${spec}\n`;
}

/** The resource that a document describes. Errors: AssertionError with what is wrong with it. */
export function readSpec<Read extends Resource>(kind: string, spec: string, head = '', name = 'x'): Read {
  const { entries, findings } = readResourceFile('a.yaml', documentOf(kind, spec, name, head), parser);
  const resource = entries[0]?.resource ?? null;
  assert.ok(resource !== null, findings.map(({ fieldPath, message }) => `${fieldPath}: ${message}`).join('\n'));
  return resource as Read;
}

/** `severity code field` of everything that is found in a document, in order of place. */
export function findingsOf(kind: string, spec: string, head = '', name = 'x'): string[] {
  const { findings } = readResourceFile('a.yaml', documentOf(kind, spec, name, head), parser);
  return findings.map(({ severity, code, fieldPath }) => `${severity} ${code} ${fieldPath}`);
}

/** A spec with one thing wrong, and what must be said about it. */
export type Mistake = {
  name: string;
  spec: string;
  severity?: 'error' | 'warning';
  at: string;
  says: RegExp;
  remedy: RegExp;
  /** Added to the metadata. */
  head?: string;
};

/** One test per mistake: it is found where it is, with its severity, sentence and remedy. */
export function testMistakes(kind: string, mistakes: readonly Mistake[]): void {
  for (const mistake of mistakes) test(`${mistake.severity ?? 'error'}: ${mistake.name}`, () => assertFound(kind, mistake));
}

function assertFound(kind: string, { spec, severity = 'error', at, says, remedy, head = '' }: Mistake): void {
  const { findings } = readResourceFile('a.yaml', documentOf(kind, spec, 'x', head), parser);
  const finding = findings.find(({ fieldPath }) => fieldPath === at);
  assert.ok(finding, `nothing found at ${at}: ${findings.map(({ fieldPath }) => fieldPath).join(', ')}`);
  assert.equal(finding.severity, severity);
  assert.equal(finding.resource, `${kind} default/x`);
  assert.match(finding.message, says);
  assert.match(finding.remedy, remedy);
  assert.ok(finding.origin.kind === 'file' && finding.origin.line >= 1 && finding.origin.column >= 1);
  assert.ok(Object.hasOwn(FINDING_CODES, finding.code));
}

/** One test per spec: it is read without a word about it. */
export function testAccepted(kind: string, specs: Readonly<Record<string, string>>): void {
  for (const [name, spec] of Object.entries(specs)) {
    test(`accepted: ${name}`, () => assert.deepEqual(findingsOf(kind, spec), []));
  }
}
