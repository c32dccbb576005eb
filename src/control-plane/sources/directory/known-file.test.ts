import assert from 'node:assert/strict';
import test from 'node:test';
import { fileOrigin } from '#control-plane/resources/finding.ts';
import { nameOf } from '#control-plane/resources/resource.ts';
import { KnownFile } from './known-file.ts';
import type { DocumentReading } from './resource-file.ts';
import { cutDocuments } from './yaml-documents.ts';

const NOTHING: DocumentReading = { entries: [], findings: [] };

function saying(name: string, line: number): DocumentReading {
  const resource = { kind: 'Namespace', namespace: '', name };
  const entry = { name: nameOf(resource), resource: null, origin: fileOrigin('a.yaml', { line, column: 1 }), findings: [] };
  return { entries: [entry], findings: [] };
}

for (const { name, count } of [
  { name: 'a small file', count: 2 },
  { name: 'a large file, which is packed', count: 400 },
]) {
  test(`${name} gives back its documents as they were written, each with what it says`, () => {
    const text = Array.from(
      { length: count },
      (_, at) => `kind: Namespace\nmetadata: { name: n${at}, labels: { ü: "é" } }\n`,
    ).join('---\n');
    const readings = cutDocuments(text).map(({ line }, at) => (at === 1 ? NOTHING : saying(`n${at}`, line)));
    const file = new KnownFile(text, 'word', readings);
    assert.deepEqual(file.readings, readings);
    const documents = file.documents();
    assert.equal(documents.map(({ raw }) => raw.text).join(''), text);
    assert.deepEqual(
      documents.map(({ reading }) => reading),
      readings,
    );
  });
}
