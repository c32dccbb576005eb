import assert from 'node:assert/strict';
import test from 'node:test';
import { ratchetProblems } from './ratchet.ts';
import { FILE_LINES_CEILING, longFiles, longFunctions } from './sizes.ts';
import { filesBelow } from './source-files.ts';

const code = ['src', 'testbed', 'bpf', 'bench', 'examples', 'scripts', 'test'].flatMap((folder) =>
  filesBelow(folder, ['.ts', '.c', '.h']),
);
const typescript = code.filter(({ path }) => path.endsWith('.ts'));

test('no file outgrows its limit', () => assert.deepEqual(ratchetProblems('longFiles', longFiles(code)), []));

test('no exception outgrows the ceiling', () => {
  assert.deepEqual(
    Object.entries(longFiles(code)).filter(([, lines]) => lines > FILE_LINES_CEILING),
    [],
  );
});

test('no function outgrows its limit', () => {
  assert.deepEqual(ratchetProblems('longFunctions', longFunctions(typescript)), []);
});

test('the size test sees a file of 301 lines, and not one of 300', () => {
  const file = (lines: number) => ({ path: `src/model/${lines}.ts`, text: 'x;\n'.repeat(lines) });
  assert.deepEqual(longFiles([file(300), file(301)]), { 'src/model/301.ts': 301 });
});

const shapes = [
  { name: 'a function', head: 'export async function f(a: A): Promise<B> {', indent: '', tail: '}' },
  { name: 'a function with parameters on lines', head: 'function f(\n  a: A,\n): B {', indent: '', tail: '}' },
  { name: 'a function with a destructured parameter', head: 'function f({\n  a,\n}: A): B {', indent: '', tail: '}' },
  { name: 'an arrow function', head: 'export const f = async (a: A): Promise<B> => {', indent: '', tail: '};' },
  { name: 'a method', head: '  async f(a: A): Promise<B> {', indent: '  ', tail: '  }' },
  { name: 'a private method', head: '  #f(): void {', indent: '  ', tail: '  }' },
  { name: 'a method of an object', head: '    f(a) {', indent: '    ', tail: '    },' },
];
for (const { name, head, indent, tail } of shapes) {
  test(`the size test sees ${name} of 71 lines, and not one of 70`, () => {
    const source = (lines: number): string => {
      const body = lines - head.split('\n').length - 1;
      return `${head}\n${`${indent}  x;\n`.repeat(body)}${tail}\n`;
    };
    const found = (lines: number) => Object.values(longFunctions([{ path: 'src/a.ts', text: source(lines) }]));
    assert.deepEqual(found(70), []);
    assert.deepEqual(found(71), [71]);
  });
}

test('the size test does not take a call for a function', () => {
  const text = `  describe(\n${'    x,\n'.repeat(80)}  );\n  test('x', () => {\n${'    x;\n'.repeat(80)}  });\n`;
  assert.deepEqual(longFunctions([{ path: 'src/a.ts', text }]), {});
});
