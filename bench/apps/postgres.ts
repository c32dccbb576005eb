import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from '#testbed/processes/command.ts';
import { loadFailed } from '../report/report.ts';
import { asUser, type Member, ready, type Site } from './site.ts';

const PORT = { primary: 5432, replica: 5433 } as const;
const USER = 'postgres';
const CLIENTS = 8;
const SECONDS = 2;
const SCALE = 5;
const VERSIONS_DIR = '/usr/lib/postgresql';
const SETUP_MS = 60_000;

const PRIMARY: Member = { name: 'primary', at: 'server', ports: [PORT.primary], user: USER };
const REPLICA: Member = { name: 'replica', at: 'client', ports: [PORT.replica], user: USER };

/** A primary, and a replica on the client's node that its log streams to. */
export const POSTGRES_MEMBERS = [PRIMARY, REPLICA];

/** Everything is on memory and nothing is synchronised: rows are about connections. */
const CONFIG = `listen_addresses = '*'
fsync = off
full_page_writes = off
autovacuum = off
wal_level = replica
max_wal_size = 4GB
`;
const ACCESS = `local all all trust
host all all all trust
host replication all all trust
`;

const STREAMING = `select count(*) from pg_stat_replication where state = 'streaming'`;

/** The newest PostgreSQL of this machine: where Debian puts its programs, of which most are on no path. */
export async function postgresPrograms(): Promise<string> {
  const versions = (await readdir(VERSIONS_DIR)).toSorted((a, b) => Number(a) - Number(b));
  return join(VERSIONS_DIR, versions.at(-1) ?? '', 'bin');
}

/** Makes a database, copies it to the replica over the site's own ways, and waits until its log streams there. */
export async function startPostgres(site: Site): Promise<void> {
  const bin = await postgresPrograms();
  const [data, copy] = [await site.dataOf(PRIMARY), await site.dataOf(REPLICA)];
  const initdb = [join(bin, 'initdb'), '-D', data, '-U', USER, '-A', 'trust', '--no-sync', '--no-instructions'];
  await command([...asUser(USER, initdb)], SETUP_MS);
  await writeFile(join(data, 'postgresql.auto.conf'), `${CONFIG}unix_socket_directories = '${data}'\n`);
  await writeFile(join(data, 'pg_hba.conf'), ACCESS);
  const server = (dir: string, port: number): string[] => [join(bin, 'postgres'), '-D', dir, '-p', String(port), '-k', dir];
  await site.start(PRIMARY, server(data, PORT.primary));
  await ready(site, 'PostgreSQL', query(site, 'select 1'), (printed) => printed.trim() === '1');
  const backup = [join(bin, 'pg_basebackup'), ...at(site), '-D', copy, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'];
  await site.start(REPLICA, ['sh', '-c', `${backup.join(' ')} && exec ${server(copy, PORT.replica).join(' ')}`]);
  await ready(site, 'streaming', query(site, STREAMING), (printed) => printed.trim() === '1');
  await site.ask([join(bin, 'pgbench'), ...at(site), '-i', '-q', '-s', String(SCALE), USER]);
}

/** `tps`: transactions per second of `pgbench`, its own mix like TPC-B. Errors: WEFT_BENCH_LOAD when one failed. */
export async function measurePostgres(site: Site): Promise<{ tps: number }> {
  const amounts = ['-c', CLIENTS, '-j', 1, '-T', SECONDS].map(String);
  const printed = await site.ask([join(await postgresPrograms(), 'pgbench'), ...at(site), ...amounts, '-n', USER]);
  if ((await site.ask(query(site, STREAMING))).trim() !== '1')
    throw loadFailed('pgbench', `the replica of ${site.name} was lost`);
  return { tps: transactionRate(printed) };
}

/** Of what pgbench prints. Errors: WEFT_BENCH_LOAD. */
export function transactionRate(printed: string): number {
  const tps = Number(/^tps = ([0-9.]+)/m.exec(printed)?.[1]);
  const failed = Number(/^number of failed transactions: (\d+)/m.exec(printed)?.[1] ?? 0);
  if (!(tps > 0) || failed > 0 || /aborted/.test(printed)) throw loadFailed('pgbench', printed);
  return tps;
}

function at(site: Site): string[] {
  return ['-h', site.host(PRIMARY), '-p', String(PORT.primary), '-U', USER];
}

function query(site: Site, sql: string): string[] {
  return ['psql', ...at(site), '-At', '-c', sql, USER];
}
