import type { Amounts } from './ratchet.ts';
import { importsOf, type SourceFile } from './source-files.ts';

/** Default exports, and exports of what another file owns: each name is imported from where it is defined. */
export function ownershipViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const file of files) {
    if (/^export default\b|^export \{[^}]*\bas default\b/m.test(file.text)) found.push(`${file.path} has a default export`);
    if (importsOf(file).some(({ reExport }) => reExport)) found.push(`${file.path} re-exports another file's names`);
    if (/(^|\/)index\.ts$/.test(file.path)) found.push(`${file.path} is a barrel by its name`);
  }
  return found;
}

const EXPORTED = /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|type|interface) (\w+)/;

/**
 * Names that a file exports without a doc comment. One comment may stand over a group of lines without gaps,
 * and an overload is documented by its first signature.
 */
export function undocumentedExports(file: SourceFile): string[] {
  const documented = new Set<string>();
  const missing = new Set<string>();
  let covered = false;
  for (const line of file.text.split('\n')) {
    const name = EXPORTED.exec(line)?.[1];
    if (name === undefined) {
      covered = line.trimEnd().endsWith('*/');
    } else if (covered) {
      documented.add(name);
      covered = line.endsWith(';');
    } else if (!documented.has(name)) missing.add(name);
  }
  return [...missing];
}

/** How many exports lack a doc comment: path → number. */
export function undocumentedPerFile(files: readonly SourceFile[]): Amounts {
  const amounts = files.map((file) => [file.path, undocumentedExports(file).length] as const);
  return Object.fromEntries(amounts.filter(([, amount]) => amount > 0));
}

/** Names that say nothing about the product. */
const VAGUE = /^(utils?|helpers?|common|misc|managers?|shared|lib)$/;

/** Folders and files of TypeScript with a name that could hold anything. */
export function vagueNames(files: readonly SourceFile[]): string[] {
  return files
    .map(({ path }) => path)
    .filter((path) => path.split('/').some((part) => VAGUE.test(part.replace(/(\.test)?\.ts$/, ''))));
}
