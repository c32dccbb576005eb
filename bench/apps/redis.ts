import { loadFailed } from '../report/report.ts';
import { type Member, ready, type Site } from './site.ts';

const PORT = { primary: 6379, replica: 6380 } as const;
const CONNECTIONS = 20;
const REQUESTS = 15_000;
const VALUE_BYTES = 64;

const PRIMARY: Member = { name: 'primary', at: 'server', ports: [PORT.primary] };
const REPLICA: Member = { name: 'replica', at: 'client', ports: [PORT.replica] };

/** A primary, and a replica on the client's node that everything written goes to. */
export const REDIS_MEMBERS = [PRIMARY, REPLICA];

/** Starts both and waits until the replica has everything. */
export async function startRedis(site: Site): Promise<void> {
  for (const member of REDIS_MEMBERS) {
    const line = ['redis-server', '--port', String(member.ports[0]), '--bind', '*', '-::*', '--dir', await site.dataOf(member)];
    const memory = ['--save', '', '--appendonly', 'no', '--protected-mode', 'no'];
    const follow = member === REPLICA ? ['--replicaof', site.host(PRIMARY), String(PORT.primary)] : [];
    await site.start(member, [...line, ...memory, ...follow]);
  }
  await ready(site, 'replication', cli(site, 'info', 'replication'), (printed) => /^slave0:.*state=online/m.test(printed));
}

/** `rps`: requests per second of `redis-benchmark`, SET and GET in equal parts. Errors: WEFT_BENCH_LOAD when one failed. */
export async function measureRedis(site: Site): Promise<{ rps: number }> {
  const amounts = ['-c', CONNECTIONS, '-n', REQUESTS, '-d', VALUE_BYTES].map(String);
  const printed = await site.ask(['redis-benchmark', ...at(site), ...amounts, '-t', 'set,get', '--csv']);
  const online = await site.ask(cli(site, 'info', 'replication'));
  if (!/^slave0:.*state=online/m.test(online)) throw loadFailed('redis-benchmark', `the replica of ${site.name} was lost`);
  return { rps: redisRate(printed) };
}

/** Of the table that redis-benchmark prints with --csv. Errors: WEFT_BENCH_LOAD. */
export function redisRate(printed: string): number {
  const rate = (test: string): number => Number(new RegExp(`^"${test}","([0-9.]+)"`, 'm').exec(printed)?.[1]);
  const rps = 2 / (1 / rate('SET') + 1 / rate('GET'));
  if (!(rps > 0) || /error/i.test(printed)) throw loadFailed('redis-benchmark', printed);
  return rps;
}

function at(site: Site): string[] {
  return ['-h', site.host(PRIMARY), '-p', String(PORT.primary)];
}

function cli(site: Site, ...words: string[]): string[] {
  return ['redis-cli', ...at(site), ...words];
}
