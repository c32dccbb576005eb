import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './source-files.ts';

const PATH = 'test/structure/exceptions.json';
const RULES = ['longFiles', 'longFunctions', 'tinyFiles', 'undocumentedExports'] as const;

/** The rules that know exceptions. */
export type Rule = (typeof RULES)[number];
/** What breaks a rule: name → how much (lines, or number of exports). */
export type Amounts = Readonly<Record<string, number>>;
type Exceptions = Record<Rule, Amounts>;

/** The exceptions on record for a rule. */
export function exceptionsFor(rule: Rule): Amounts {
  return read(readFileSync(join(ROOT, PATH), 'utf8'))[rule];
}

/**
 * What keeps the record from being exact: an entry that is missing, too small, too large or needless.
 * With WEFT_RATCHET=write the record is rewritten instead; the difference is reviewed like code.
 */
export function ratchetProblems(rule: Rule, found: Amounts): string[] {
  if (process.env.WEFT_RATCHET === 'write') write(rule, found);
  return compare(exceptionsFor(rule), found);
}

/** Compares what is on record with what was found; pure. */
export function compare(known: Amounts, found: Amounts): string[] {
  const problems: string[] = [];
  for (const [name, amount] of Object.entries(found)) {
    const allowed = known[name];
    if (allowed === undefined) problems.push(`${name}: ${amount} is over the limit`);
    else if (amount > allowed) problems.push(`${name}: grew from ${allowed} to ${amount}`);
    else if (amount < allowed) problems.push(`${name}: shrank to ${amount}; lower its entry in ${PATH}`);
  }
  for (const name of Object.keys(known)) {
    if (found[name] === undefined) problems.push(`${name}: keeps the limit now; remove its entry from ${PATH}`);
  }
  return problems;
}

/** Entries that are new or larger than in an earlier version of the record. */
export function growth(before: Amounts, after: Amounts): string[] {
  return Object.entries(after)
    .filter(([name, amount]) => amount > (before[name] ?? 0))
    .map(([name, amount]) => `${name}: ${before[name] ?? 'no entry'} → ${amount}`);
}

/** How the record grew since the last commit that changed it; empty where there is no history to compare with. */
export function growthSinceLastCommit(): string[] {
  const current = readFileSync(join(ROOT, PATH), 'utf8');
  const commits = git('log', '-n', '2', '--format=%H', '--', PATH).split('\n').filter(Boolean);
  const before = commits.map((commit) => git('show', `${commit}:${PATH}`)).find((text) => text !== current);
  if (before === undefined || before === '') return [];
  const old = read(before);
  const now = read(current);
  // A rule that is new has whatever it finds on its first day.
  return RULES.filter((rule) => old[rule] !== undefined).flatMap((rule) => growth(old[rule], now[rule]));
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return ''; // an unpacked archive has no history
  }
}

function read(text: string): Exceptions {
  return JSON.parse(text) as Exceptions;
}

function write(rule: Rule, found: Amounts): void {
  const all = read(readFileSync(join(ROOT, PATH), 'utf8'));
  all[rule] = Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(join(ROOT, PATH), `${JSON.stringify(all, null, 2)}\n`);
}
