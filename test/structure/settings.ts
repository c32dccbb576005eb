import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SettingGroup } from '../../src/model/settings/setting.ts';
import { isTest, ROOT, type SourceFile, withoutComments } from './source-files.ts';

/** A table of settings as the code imports it: `TUNNEL` for `TUNNEL_SETTINGS`, and the file it is in. */
export type SettingTable = { name: string; path: string; group: SettingGroup };

/** Where tables of settings are: every file of one folder, and the ports. */
export const TABLE_FOLDER = 'src/model/settings';
const PORTS = 'src/model/mesh/ports.ts';

/** Every table of settings, in the order of docs/settings.md: the ports first, then by file. */
export async function readTables(): Promise<SettingTable[]> {
  const files = readdirSync(join(ROOT, TABLE_FOLDER)).filter(
    (name) => name.endsWith('.ts') && !isTest(name) && name !== 'setting.ts',
  );
  const tables: SettingTable[] = [];
  for (const path of [PORTS, ...files.sort().map((name) => `${TABLE_FOLDER}/${name}`)]) {
    const module: Record<string, SettingGroup> = await import(join(ROOT, path));
    // Names of a module come sorted; its text has them in the order they were written in.
    for (const [name, group] of Object.entries(module))
      if (name.endsWith('_SETTINGS')) tables.push({ name: name.replace(/_SETTINGS$/, ''), path, group });
  }
  return tables;
}

/** docs/settings.md as the tables say it. */
export function settingsPage(tables: readonly SettingTable[]): string {
  const head = [
    '# Settings and limits',
    '',
    'Every time-out, bound, buffer and port that somebody chose, with the reason. They are constants: change one in the file named',
    'under its heading and run `node scripts/settings-page.ts`, which writes this page. Options of the command line are in',
    '[cli.md](cli.md).',
  ];
  return `${[...head, ...tables.flatMap(sectionOf)].join('\n')}\n`;
}

function sectionOf({ name, path, group }: SettingTable): string[] {
  const rows = Object.entries(group.rows).map(
    ([key, { value, unit, why }]) =>
      `| \`${name}.${key}\` | ${readable(value, unit)} | ${unit} | ${why.replaceAll('|', '\\|')} |`,
  );
  const { title, text } = group.about;
  return ['', `## ${title}`, '', `${text} In \`${path}\`.`, '', '| name | default | unit | why |', '|---|--:|---|---|', ...rows];
}

/** `16,777,216 (16 MiB)`, `300,000 (5 min)`: the number as written in code, and in words when that helps. */
function readable(value: number, unit: string): string {
  if (unit.includes('port')) return String(value);
  const number = value.toLocaleString('en-US');
  const steps: Readonly<Record<string, readonly [number, string][]>> = {
    bytes: [
      [2 ** 20, 'MiB'],
      [2 ** 10, 'KiB'],
    ],
    ms: [
      [86_400_000, 'd'],
      [3_600_000, 'h'],
      [60_000, 'min'],
      [1_000, 's'],
    ],
    s: [
      [86_400, 'd'],
      [3_600, 'h'],
      [60, 'min'],
    ],
  };
  const step = steps[unit]?.find(([size]) => value >= size && value % size === 0);
  return step === undefined ? number : `${number} (${value / step[0]} ${step[1]})`;
}

/** Settings that no code outside tests and tables reads. */
export function unusedSettings(tables: readonly SettingTable[], files: readonly SourceFile[]): string[] {
  const texts = files.filter(({ path }) => !isTest(path)).map(({ path, text }) => ({ path, code: withoutComments(text) }));
  return tables.flatMap(({ name, path, group }) =>
    Object.keys(group.rows)
      .filter((key) => !texts.some(({ path: at, code }) => mentions(code, name, key, at === path)))
      .map((key) => `${path}: nothing uses ${name}.${key}`),
  );
}

/** `NAME.key`, or the key in quotes beside `typeof NAME` (a subset handed on whole). */
function mentions(code: string, name: string, key: string, own: boolean): boolean {
  if (new RegExp(`(?<![\\w.])${name}\\.${key}\\b`).test(code)) return true;
  return !own && new RegExp(`\\btypeof ${name}\\b`).test(code) && code.includes(`'${key}'`);
}

const NAME = /(?:_|^)(?:MS|BYTES|SECONDS|MAX|PORTS?|CHARACTERS|TIMEOUT|DELAY|INTERVAL|PERIOD|DEADLINE|TTL)(?:_|$)/;
const KEY = /(?:Ms|Bytes|Seconds|Max|PerSecond)$/;
const PORT_KEY = /[pP]ort$/;
const DEFINED = /^\s*(?:export )?const ([A-Z][A-Z0-9_]*)(?:: [\w ]+)? = (.+);/;
/** A time that is written where it is waited. */
const WAIT = /\b(?:[cC]lock\.(?:after|every)|AbortSignal\.timeout)\(([^,)]+)[,)]/;
const MEMBER = /^\s*([a-z]\w*): (.+),$/;
/** A number, or arithmetic with numbers. */
const LITERAL = /^[-0-9_xa-fA-F. ()*+/<]*\d[-0-9_xa-fA-F. ()*+/<]*$/;

/**
 * Numbers with the name of a time, a size, a bound or a port that are not in a table: where they are and what to do.
 * What cannot be chosen says so in a comment above it, beside it or in the first line of its file: `Fixed by …`.
 */
export function strayNumbers(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { path, text } of files) {
    if (isTest(path) || path.startsWith(`${TABLE_FOLDER}/`) || path === PORTS) continue;
    const lines = text.split('\n');
    if (lines[0]?.includes('Fixed by ')) continue;
    lines.forEach((line, at) => {
      const name = strayName(line);
      if (name !== null && !isFixed(lines, at))
        found.push(`${path}:${at + 1}: put ${name} into a table of ${TABLE_FOLDER}, or say "Fixed by …" above it`);
    });
  }
  return found;
}

function strayName(line: string): string | null {
  const [, constant, assigned = ''] = DEFINED.exec(line) ?? [];
  if (constant !== undefined) return NAME.test(constant) && LITERAL.test(assigned) ? constant : null;
  const [call, waited = ''] = WAIT.exec(line) ?? [];
  if (call !== undefined && LITERAL.test(waited) && Number(waited.replaceAll('_', '')) !== 0) return call;
  const [, member, given = ''] = MEMBER.exec(line) ?? [];
  if (member === undefined || !LITERAL.test(given)) return null;
  const value = Number(given.replaceAll('_', ''));
  // Small numbers named after a port are codes of something, not ports that can be chosen.
  return (KEY.test(member) && value !== 0) || (PORT_KEY.test(member) && value >= 1_024) ? member : null;
}

/** Looks through the comment above, over lines of the same group of constants. */
function isFixed(lines: readonly string[], at: number): boolean {
  if (lines[at]?.includes('Fixed by ')) return true;
  for (let above = at - 1; above >= 0; above--) {
    const line = lines[above] ?? '';
    if (/^\s*(\/\/|\/\*|\*)/.test(line)) {
      if (line.includes('Fixed by ')) return true;
      if (/^\s*(\/\/|\/\*\*)/.test(line)) return false;
    } else if (!DEFINED.test(line)) return false;
  }
  return false;
}
