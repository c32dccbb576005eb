import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { nameOf } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { editFile, withDocument } from './edit-document.ts';
import { readResourceFile } from './resource-file.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const named = (name: string) => nameOf({ kind: 'Service', namespace: 'default', name });
const object = (name: string, port: number) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ port }] },
});
const text = (name: string, port: number, note = '') =>
  `${note}apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { ports: [{ port: ${port} }] }\n`;
const next = (name: string, port = 9, note = '# new\n') => ({
  name: named(name),
  text: text(name, port, note),
  object: object(name, port),
});
const list = `apiVersion: v1\nkind: List\nitems:\n  - ${JSON.stringify(object('x', 1))} # first\n  - ${JSON.stringify(object('y', 2))}\n`;

const edits: { name: string; path?: string; before: string; replace: boolean; want: string | null }[] = [
  { name: 'the only document is replaced', before: text('x', 1), replace: true, want: text('x', 9, '# new\n') },
  { name: 'the only document is removed with its file', before: text('x', 1), replace: false, want: null },
  {
    name: 'the first of two is replaced, the second keeps every byte',
    before: `${text('x', 1)}--- # next\n${text('y', 2, '#  kept \n')}`,
    replace: true,
    want: `${text('x', 9, '# new\n')}--- # next\n${text('y', 2, '#  kept \n')}`,
  },
  {
    name: 'the last of two is replaced behind its marker',
    before: `${text('y', 2)}---\n${text('x', 1)}`,
    replace: true,
    want: `${text('y', 2)}---\n${text('x', 9, '# new\n')}`,
  },
  {
    name: 'one in the middle is removed',
    before: `${text('y', 2)}---\n${text('x', 1)}---\n${text('z', 3)}`,
    replace: false,
    want: `${text('y', 2)}---\n${text('z', 3)}`,
  },
  {
    name: 'comments of a file that holds nothing else any more stay',
    before: `# of the team\n---\n${text('x', 1)}`,
    replace: false,
    want: '# of the team\n',
  },
  { name: 'one that is invalid is replaced', before: text('x', 70_000), replace: true, want: text('x', 9, '# new\n') },
  {
    name: 'a JSON file stays one',
    path: 'a.json',
    before: JSON.stringify(object('x', 1)),
    replace: true,
    want: `${JSON.stringify(object('x', 9), null, 2)}\n`,
  },
];

for (const { name, path = 'a.yaml', before, replace, want } of edits) {
  test(`C60: ${name}`, () => {
    const edited = editFile({ path, text: before }, named('x'), replace ? next('x') : null, parser);
    assert.equal(edited?.text, want);
  });
}

test('C60: an item of a List is replaced and removed in place', () => {
  const replaced = editFile({ path: 'a.yaml', text: list }, named('x'), next('x'), parser)?.text ?? '';
  assert.match(replaced, /port: 9/);
  assert.deepEqual(
    readResourceFile('a.yaml', replaced, parser).entries.map(({ name }) => name),
    [named('x'), named('y')],
  );
  const removed = editFile({ path: 'a.yaml', text: list }, named('x'), null, parser)?.text ?? '';
  assert.deepEqual(
    readResourceFile('a.yaml', removed, parser).entries.map(({ name }) => name),
    [named('y')],
  );
});

test('C60: a file that does not describe it is not edited; documents that no line parts are left to their author', () => {
  assert.equal(editFile({ path: 'a.yaml', text: text('y', 1) }, named('x'), next('x'), parser), null);
  const unparted = `${text('x', 1)}...\n${text('y', 2)}`;
  assert.throws(() => editFile({ path: 'a.yaml', text: unparted }, named('x'), next('x'), parser), {
    code: 'WEFT_RESOURCE_WRITE',
  });
});

test('C60: whatever a file holds, an edit touches one resource and its line is told', () => {
  const names = ['x', 'y', 'z'];
  const document = fc.record({
    name: fc.constantFrom(...names),
    port: fc.integer({ min: 1, max: 5 }),
    note: fc.constantFrom('', '# a\n'),
  });
  fc.assert(
    fc.property(fc.array(document, { maxLength: 5 }), fc.constantFrom(...names), fc.boolean(), (documents, wanted, ended) => {
      const whole = documents.map(({ name, port, note }) => text(name, port, note)).join('---\n');
      const before = ended ? whole : whole.trimEnd();
      const edited = editFile({ path: 'a.yaml', text: before }, named(wanted), next(wanted), parser);
      const ports = documents.map(({ name, port }) => `${name}:${port}`);
      const at = documents.findIndex(({ name }) => name === wanted);
      if (at < 0) {
        assert.equal(edited, null);
        const added = withDocument('a.yaml', before === '' ? null : before, next(wanted));
        assert.match(
          added.text
            ?.split('\n')
            .slice(added.line - 1)
            .join('\n') ?? '',
          /^(---\n)?# new/,
        );
        return;
      }
      assert.ok(edited?.text);
      const after = [...edited.text.matchAll(/name: (\w) \}\nspec: \{ ports: \[\{ port: (\d)/g)].map(
        ([, name, port]) => `${name}:${port}`,
      );
      assert.deepEqual(after, ports.toSpliced(at, 1, `${wanted}:9`));
      assert.match(
        edited.text
          .split('\n')
          .slice(edited.line - 1)
          .join('\n'),
        /^# new/,
      );
    }),
  );
});
