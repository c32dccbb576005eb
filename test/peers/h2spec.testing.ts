import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { program } from './peers.testing.ts';

/** What h2spec found: cases that ran, and those that failed as `package: title`, with what was wanted and what came. */
export type Conformance = { cases: number; failed: { name: string; why: string }[] };

/** How long h2spec waits for each answer: only what fails takes that long. */
const ANSWER_SECONDS = 1;

const CASE = /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g;

/** Runs every case of h2spec, the strict ones among them, against a loopback port. */
export async function h2spec(port: number): Promise<Conformance> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-h2spec-'));
  try {
    const report = join(dir, 'report.xml');
    await run([
      '--host',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--strict',
      '--timeout',
      `${ANSWER_SECONDS}`,
      '--junit-report',
      report,
    ]);
    const cases = [...(await readFile(report, 'utf8')).matchAll(CASE)];
    const failed = cases
      .filter(([, , , result = '']) => /<(failure|error|skipped)/.test(result))
      .map(([, part, title, why = '']) => ({
        name: textOf(`${part}: ${title}`),
        why: textOf(why.replace(/<[^>]*>/g, ' ')).trim(),
      }));
    return { cases: cases.length, failed };
  } finally {
    await rm(dir, { recursive: true });
  }
}

function textOf(xml: string): string {
  return xml.replaceAll('&#34;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

/** Its exit code says that a case failed, which its report says as well: only a program that does not run is an error. */
function run(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program('h2spec'), args, { timeout: 120_000, maxBuffer: 16 << 20 }, (error) => {
      if (error === null || error.code === 1) resolve();
      else reject(error);
    });
  });
}
