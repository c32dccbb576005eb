import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { command } from '#testbed/processes/command.ts';
import type { Way } from '../rig/way.ts';

const TIMEOUT_MS = 60_000;
const SHARE = 0.99;

/** What h2load is told beside where to go: `protocol` of its own words. */
export type HttpLoad = { requests: number; connections: number; atATime: number; options: readonly string[]; path: string };

/** What came of it; `p99` in milliseconds. */
export type HttpFigures = { requests: number; rate: number; p99: number };

/** Runs h2load over a way; `dir` takes its log for a moment. Errors: WEFT_BENCH_LOAD when a request failed. */
export async function httpOver(way: Way, load: HttpLoad, dir: string): Promise<HttpFigures> {
  const log = join(dir, 'h2load.log');
  const amounts = ['-n', load.requests, '-c', load.connections, '-m', load.atATime].map(String);
  const url = `http://${way.host}:${way.port}${load.path}`;
  try {
    const printed = await command(way.atClient(['h2load', ...amounts, `--log-file=${log}`, ...load.options, url]), TIMEOUT_MS);
    return { ...parseSummary(printed, load.requests), p99: p99Milliseconds(await readFile(log, 'utf8')) };
  } finally {
    await rm(log, { force: true });
  }
}

/** The summary that h2load prints. Errors: WEFT_BENCH_LOAD when not every request was answered with 2xx. */
export function parseSummary(printed: string, requests: number): { requests: number; rate: number } {
  const rate = Number(/^finished in .*, ([0-9.]+) req\/s/m.exec(printed)?.[1]);
  const good = Number(/^status codes: (\d+) 2xx/m.exec(printed)?.[1]);
  if (good === requests && rate > 0) return { requests, rate };
  const told = printed.split('\n').filter((line) => /^(finished|requests|status codes)/.test(line));
  throw new WeftError('WEFT_BENCH_LOAD', `h2load was not answered ${requests} times with 2xx: ${told.join('; ')}`, {
    remedy: 'read the logs of the proxies; the machine may be too busy',
  });
}

/** Of a log with a line for each request: when it began, its status, and how many microseconds it took, between tabs. */
export function p99Milliseconds(log: string): number {
  const took = log
    .trimEnd()
    .split('\n')
    .map((line) => Number(line.split('\t')[2]));
  took.sort((a, b) => a - b);
  return (took[Math.min(took.length - 1, Math.floor(took.length * SHARE))] ?? Number.NaN) / 1000;
}
