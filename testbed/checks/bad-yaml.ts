import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import { vip } from '#testbed/apps/shop.ts';
import { tryCommand } from '#testbed/processes/command.ts';
import { weft } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, expect, logEnd, logSince } from './check.ts';
import { expectEcho, expectNoEcho } from './expectations.ts';
import { denyServiceAccount, putConfig, withConfig } from './policies.ts';

const EFFECT_WITHIN_MS = 3_000;
const MIXED_FILE = '90-check-mixed.yaml';
const ACCESS_FILE = '40-access.yaml';

/** A broken document is reported with its place and a remedy; its neighbours apply; its last good version stays. */
export const badYaml: Check = {
  name: 'bad-yaml',
  path: '-',
  timeoutMs: 30_000,
  async run(mesh) {
    const mixedLine = await goodNeighbourApplies(mesh);
    const accessLine = await lastGoodVersionStays(mesh);
    return `reported at ${MIXED_FILE}:${mixedLine} and ${ACCESS_FILE}:${accessLine} with a remedy; the good document of the file applied, the last good version of the other stayed`;
  },
};

/** A file with a good document and a broken one. Returns the line of the mistake. */
async function goodNeighbourApplies(mesh: Bookshop): Promise<number> {
  const broken = denyServiceAccount('check-broken', 'clerk').replace('action: DENY', 'action: DENNY');
  const text = `${denyServiceAccount('check-good', 'clerk')}---\n${broken}`;
  const line = lineOf(text, 'DENNY');
  const dial = vip('echo-far', 4);
  const clerk = mesh.probe('clerk');
  const logFrom = await logEnd(mesh.control.logPath);
  await withConfig(mesh.configDir, MIXED_FILE, text, async () => {
    await waitUntil('effect of the good document', EFFECT_WITHIN_MS, async () => (await clerk.connect(dial)).error !== null);
    await expectReport(mesh, logFrom, MIXED_FILE, line);
  });
  await waitUntil('end of the good document', EFFECT_WITHIN_MS, async () => (await clerk.connect(dial)).error === null);
  return line;
}

/** Breaks the policy against strangers where it stands. Returns the line of the mistake. */
async function lastGoodVersionStays(mesh: Bookshop): Promise<number> {
  const dir = mesh.configDir;
  const good = await readFile(join(dir, ACCESS_FILE), 'utf8');
  const bad = good.replace('action: DENY', 'action: DENNY');
  const line = lineOf(bad, 'DENNY');
  const logFrom = await logEnd(mesh.control.logPath);
  try {
    await putConfig(dir, ACCESS_FILE, bad);
    await expectReport(mesh, logFrom, ACCESS_FILE, line);
    await expectNoEcho(mesh.probe('stranger'), vip('echo-near', 4));
    await expectEcho(mesh.probe('shopper'), mesh.app('shopper'), 4, vip('echo-near', 4));
  } finally {
    await putConfig(dir, ACCESS_FILE, good);
  }
  return line;
}

/** The control plane's log and `weft validate` must both name the place and a remedy. */
async function expectReport(mesh: Bookshop, logFrom: number, file: string, line: number): Promise<void> {
  await waitUntil(`report of ${file}:${line} in the control plane's log`, EFFECT_WITHIN_MS, async () =>
    reports(await logSince(mesh.control.logPath, logFrom), file, line),
  );
  const { code, stdout, stderr } = await tryCommand(weft('validate', mesh.configDir));
  expect(code !== 0, `weft validate accepts ${file}`);
  expect(
    reports(`${stdout}${stderr}`, file, line),
    `weft validate does not name ${file}:${line} with a remedy: ${stdout}${stderr}`,
  );
}

/** Whether a text says `file:line` (or both as fields of one log line) and, in that line or the next, a remedy. */
export function reports(text: string, file: string, line: number): boolean {
  const place = new RegExp(`${RegExp.escape(file)}(:${line}\\b|.*\\bline"?[:=]${line}\\b)`);
  const lines = text.split('\n');
  return lines.some((one, at) => place.test(one) && /remedy/.test(`${one}\n${lines[at + 1] ?? ''}`));
}

/** Lines count from 1, as editors have it. */
function lineOf(text: string, word: string): number {
  return text.slice(0, text.indexOf(word)).split('\n').length;
}
