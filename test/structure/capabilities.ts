import { CAPABILITIES, type Capability } from '../../src/model/rights/capabilities.ts';

/** docs/capabilities.md as the table says it. */
export function capabilitiesPage(table: Readonly<Record<string, Capability>> = CAPABILITIES): string {
  const rows = Object.entries(table);
  const section = (wanted: (capability: Capability) => boolean): string[] =>
    rows.filter(([, capability]) => wanted(capability)).map(([name, { why }]) => `| \`${name}\` | ${why} |`);
  return `${[
    '# Capabilities of workloads',
    '',
    'What root in a workload of `weft run` may do, and what each other capability would allow an attacker who has it through',
    '`--cap-add`. The table is `src/model/rights/capabilities.ts`; `node scripts/capabilities-page.ts` writes this page. What holds',
    'besides is in [security.md](security.md).',
    '',
    '## Kept',
    '',
    'Every workload has these, as root. With `--user` a workload has `NET_BIND_SERVICE` and what `--cap-add` names, nothing else.',
    '',
    '| capability | why, and what it does not open |',
    '|---|---|',
    ...section(({ kept }) => kept),
    '',
    '## Given by `--cap-add`, inside the mesh',
    '',
    'The workload stays itself and stays in the mesh; what it can do to others is said.',
    '',
    '| capability | what it would allow |',
    '|---|---|',
    ...section(({ kept, leaves }) => !kept && !leaves),
    '',
    '## Given by `--cap-add`, out of the mesh',
    '',
    'Who has one of these is as free as root of the machine. `weft run` warns.',
    '',
    '| capability | what it would allow |',
    '|---|---|',
    ...section(({ leaves }) => leaves),
  ].join('\n')}\n`;
}
