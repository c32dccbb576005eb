import assert from 'node:assert/strict';
import { FINDING_CODES } from '#control-plane/resources/finding-codes.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';

/** A document of a kind, with `spec` as flow YAML on line 4. */
export function documentOf(kind: string, spec: string, name = 'x'): string {
  const group = { Service: 'v1', Pod: 'v1', Namespace: 'v1', WorkloadEntry: 'networking.istio.io/v1' }[kind];
  const security = ['AuthorizationPolicy', 'PeerAuthentication'].includes(kind);
  const apiVersion = group ?? (security ? 'security.istio.io/v1' : 'gateway.networking.k8s.io/v1');
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}

/** A spec with one thing wrong, and what must be said about it. */
export type Mistake = {
  name: string;
  kind: string;
  spec: string;
  severity?: 'error' | 'warning';
  at: string;
  says: RegExp;
  remedy: RegExp;
};

/** Asserts that the mistake is found where it is, with its severity, sentence and remedy. */
export function assertFound({ kind, spec, severity = 'error', at, says, remedy }: Mistake, parser: ResourceParser): void {
  const { findings } = readResourceFile('a.yaml', documentOf(kind, spec), parser);
  const finding = findings.find(({ fieldPath }) => fieldPath === at);
  assert.ok(finding, `nothing found at ${at}: ${findings.map(({ fieldPath }) => fieldPath).join(', ')}`);
  assert.equal(finding.severity, severity);
  assert.equal(finding.resource, `${kind} default/x`);
  assert.match(finding.message, says);
  assert.match(finding.remedy, remedy);
  assert.ok(finding.origin.kind === 'file' && finding.origin.line >= 1 && finding.origin.column >= 1);
  assert.ok(Object.hasOwn(FINDING_CODES, finding.code));
}
