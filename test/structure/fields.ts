import { KINDS } from '../../src/control-plane/kinds/list.ts';
import { COMMON_FIELDS, type FieldTable, type Treatment } from '../../src/control-plane/resources/field-table.ts';

/** Kinds with what becomes of their fields. */
type Kinds = readonly { kind: string; group: string; versions: readonly string[]; fields: FieldTable }[];

/** docs/fields.md as the tables of the kinds say it. */
export function fieldsPage(kinds: Kinds = KINDS): string {
  return `${[
    '# Fields of resources',
    '',
    'What becomes of each field that a resource may have. The tables are `src/control-plane/kinds/*/fields.ts` (those of three',
    'fields stand in `kind.ts`); `node scripts/fields-page.ts` writes this page. A test compares them with every schema.',
    '',
    '- **enforced**: it is put into effect.',
    '- **told**: put into effect, refused or made stricter; a finding says which, and where.',
    '- **ignored**: the resource is taken, and the warning `WEFT_FIELD_IGNORED` names it with its line.',
    '- **elsewhere**: other programs act on it, it says nothing about a mesh, and nobody is told.',
    '',
    '`[]` is each item of a list, `*` any key. What is said of a field holds for everything below it.',
    '',
    '## Every kind',
    '',
    ...table(COMMON_FIELDS),
    ...kinds.flatMap(({ kind, group, versions, fields }) => [
      '',
      `## ${kind}`,
      '',
      `\`${group === '' ? '' : `${group}/`}${versions.join('`, `')}\``,
      '',
      ...table(fields),
    ]),
  ].join('\n')}\n`;
}

/** Fields of one treatment that follow one another share a row. */
function table(fields: FieldTable): string[] {
  const rows = new Map<string, string[]>();
  for (const [path, treatment] of Object.entries(fields)) {
    const words = wordsOf(treatment);
    rows.set(words, [...(rows.get(words) ?? []), `\`${path}\``]);
  }
  return [
    '| field | what becomes of it |',
    '|---|---|',
    ...[...rows].map(([words, paths]) => `| ${paths.join(', ')} | ${words} |`),
  ];
}

function wordsOf(treatment: Treatment): string {
  switch (treatment.is) {
    case 'enforced': {
      const except = Object.entries(treatment.except ?? {}).map(([value, { why }]) => `; ignored: \`${value}\`: ${why}`);
      return `**enforced**${except.join('')}`;
    }
    case 'refused':
      return `**told**: ${treatment.why}`;
    case 'ignored': {
      const harmless = (treatment.harmless ?? []).map((value) => `\`${JSON.stringify(value)}\``);
      const but = harmless.length === 0 ? '' : ` (but for ${harmless.join(', ')})`;
      return `**ignored**${but}: ${treatment.why}. Remedy: ${treatment.remedy}`;
    }
    case 'elsewhere':
      return `**elsewhere**: ${treatment.why}`;
  }
}
