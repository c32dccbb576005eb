import { filesBelow, isTest, type SourceFile } from './source-files.ts';

/** The pages of docs/rules, without their index. */
export function rulePages(): SourceFile[] {
  return filesBelow('docs/rules', ['.md']).filter(({ path }) => !path.endsWith('/README.md'));
}

/** Everything that cites rules, but for the tests of the citations themselves. */
export function citingFiles(): SourceFile[] {
  const code = ['src', 'bpf', 'test', 'testbed', 'bench', 'fuzz'].flatMap((folder) => filesBelow(folder, ['.ts', '.c', '.h']));
  return code.filter(({ path }) => !path.startsWith('test/structure/rules'));
}

/** Tests, and the checks that the demo and the end-to-end tests run. */
export function provingFiles(): SourceFile[] {
  return citingFiles().filter(({ path }) => isTest(path) || /^(testbed\/checks|test)\//.test(path));
}
