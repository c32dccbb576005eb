import assert from 'node:assert/strict';
import test from 'node:test';
import { ratchetProblems } from './ratchet.ts';
import { commentShare, FILE_LINES_CEILING, longFiles, longFunctions, medianLines, tinyFiles } from './sizes.ts';
import { filesBelow, isTest } from './source-files.ts';

const code = ['src', 'testbed', 'bpf', 'bench', 'examples', 'scripts', 'test'].flatMap((folder) =>
  filesBelow(folder, ['.ts', '.c', '.h']),
);
const typescript = code.filter(({ path }) => path.endsWith('.ts'));
const product = typescript.filter(({ path }) => /^(src|testbed)\//.test(path));
const MEDIAN_LINES_MIN = 80;
const MEDIAN_LINES_MAX = 120;
const COMMENTS_MIN = 0.12;
const COMMENTS_MAX = 0.2;

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

test('a file of a few lines with one importer lies in it, unless it is a concept of its own', () => {
  assert.deepEqual(ratchetProblems('tinyFiles', tinyFiles(product)), []);
});

test('files are full enough to hold a concept, and short enough to be read at once', () => {
  const median = medianLines(product);
  assert.ok(median >= MEDIAN_LINES_MIN && median <= MEDIAN_LINES_MAX, `the median file has ${median} lines`);
});

const commented = ['bpf', 'src/model', 'src/control-plane', 'src/node-agent', 'src/waypoint', 'src'];
for (const folder of commented) {
  test(`the comments of ${folder} say why, and do not drown the code`, () => {
    const share = commentShare(code.filter(({ path }) => path.startsWith(`${folder}/`) && !isTest(path)));
    assert.ok(share >= COMMENTS_MIN && share <= COMMENTS_MAX, `${(100 * share).toFixed(1)} % of its lines are comments`);
  });
}

test('the tiny file test sees a file of 29 lines with one importer, and not one with two, one of 30 lines, or a test', () => {
  const file = (path: string, lines: number, ...imports: string[]) => ({
    path,
    text: `${imports.map((from) => `import { x } from '${from}';\n`).join('')}${'x;\n'.repeat(lines - imports.length)}`,
  });
  const files = [
    file('src/model/a.ts', 29),
    file('src/model/b.ts', 29),
    file('src/model/c.ts', 30),
    file('src/model/d.testing.ts', 9),
    file('src/model/e.ts', 90, './a.ts', './b.ts', './c.ts', './d.testing.ts'),
    file('src/model/f.ts', 90, './b.ts'),
  ];
  assert.deepEqual(tinyFiles(files), { 'src/model/a.ts': 29 });
  assert.equal(medianLines(files), 30);
});

test('the comment test counts lines that are comments or carry one', () => {
  assert.equal(commentShare([{ path: 'src/a.ts', text: '/** a\n */\nx; // y\nx;\n// z\nx;\nx;\n\t__u8 pad; /* 0 */\n' }]), 5 / 8);
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
