import { CHECK_CODES } from '../../src/model/check/finding.ts';
import { AREAS } from '../../src/model/check/row.ts';
import { isTest, type SourceFile, withoutComments } from './source-files.ts';

/** docs/checks.md as the tables of codes say it. */
export function checksPage(): string {
  const head = [
    '# What `weft check` finds',
    '',
    'Every finding carries one of these codes, which are stable, with the very amount, path or name in its sentence. A code without',
    '`CHECK` in it is that of the error with which a command would end ([errors.md](errors.md)); findings of resources have those of',
    '`weft validate`. An error makes the exit code 1, a warning does not. Written by `node scripts/checks-page.ts` from',
    '`src/model/check`; a test compares it.',
  ];
  return `${[...head, ...AREAS.flatMap(sectionOf)].join('\n')}\n`;
}

function sectionOf(area: string): string[] {
  const rows = Object.entries(CHECK_CODES).filter(([, one]) => one.area === area);
  const lines = rows.map(([code, { level, means, why, remedy }]) => `| \`${code}\` | ${level} | ${means} | ${why} | ${remedy} |`);
  return ['', `## ${area}`, '', '| code | level | meaning | why it matters | remedy |', '|---|---|---|---|---|', ...lines];
}

/** Codes of the table that nothing finds: those that an error brings are left out. */
export function unfoundCodes(files: readonly SourceFile[]): string[] {
  const texts = files.filter(({ path }) => !isTest(path) && !path.endsWith('-codes.ts')).map(({ text }) => withoutComments(text));
  return Object.keys(CHECK_CODES).filter((code) => !texts.some((text) => text.includes(`'${code}'`)));
}
