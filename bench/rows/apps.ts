import { join } from 'node:path';
import { command } from '#testbed/processes/command.ts';
import { ETCD_MEMBERS, measureEtcd, startEtcd } from '../apps/etcd.ts';
import { measurePostgres, POSTGRES_MEMBERS, postgresPrograms, startPostgres } from '../apps/postgres.ts';
import { measureRedis, REDIS_MEMBERS, startRedis } from '../apps/redis.ts';
import { type Distance, type Member, type Site, type Sites, sitesOf } from '../apps/site.ts';
import type { Bare } from '../rig/bare.ts';
import type { Rig } from '../rig/rig.ts';
import type { Figures, Side, Trial } from './trial.ts';

const ROUNDS = 5;

/** A database with replicas, and its own load program. */
type Application = {
  version(): Promise<readonly string[]>;
  members: readonly Member[];
  start(site: Site): Promise<void>;
  measure(site: Site): Promise<Figures>;
  rows: readonly { id: string; metric: string; figure: string }[];
};

const APPLICATIONS = {
  redis: {
    version: async () => ['redis-server', '--version'],
    members: REDIS_MEMBERS,
    start: startRedis,
    measure: measureRedis,
    rows: [{ id: 'apps.redis20.rps', metric: 'requests/s of redis-benchmark, 20 connections', figure: 'rps' }],
  },
  postgres: {
    version: async () => [join(await postgresPrograms(), 'postgres'), '--version'],
    members: POSTGRES_MEMBERS,
    start: startPostgres,
    measure: measurePostgres,
    rows: [{ id: 'apps.pgbench.tps', metric: 'transactions/s of pgbench, 8 connections', figure: 'tps' }],
  },
  etcd: {
    version: async () => ['etcd', '--version'],
    members: ETCD_MEMBERS,
    start: startEtcd,
    measure: measureEtcd,
    rows: [
      { id: 'apps.etcd.put', metric: 'writes/s to three members of etcd', figure: 'put' },
      { id: 'apps.etcd.range', metric: 'linearizable reads/s from three members', figure: 'range' },
    ],
  },
} as const satisfies Record<string, Application>;

/** A database that is measured. */
export type ApplicationName = keyof typeof APPLICATIONS;

/** What a database calls itself. Errors: WEFT_TESTBED_COMMAND where it is missing. */
export async function applicationVersion(name: ApplicationName): Promise<string> {
  return `${(await command([...(await APPLICATIONS[name].version())])).split('\n')[0]}\n`;
}

/** A database with its replicas across nodes, and on one (`.near`), through the mesh and on plain TCP. Data lies below `dir`. */
export async function appTrials(rig: Rig, bare: Bare, dir: string, name: ApplicationName): Promise<Trial[]> {
  const application = APPLICATIONS[name];
  const sites = await sitesOf(rig, bare, dir, name, application.members);
  return [trialOf(application, sites, 'far'), trialOf(application, sites, 'near')];
}

function trialOf({ start, measure, rows }: Application, sites: Sites, distance: Distance): Trial {
  // Servers start with the trial that measures them: the others' idle ones would take part in it.
  const side = (site: Site): Side => {
    let started: Promise<void> | null = null;
    return async () => {
      started ??= start(site);
      await started;
      return measure(site);
    };
  };
  const named = (id: string): string => (distance === 'far' ? id : `${id}.near`);
  return {
    rounds: ROUNDS,
    weft: side(sites.weft[distance]),
    peers: { plain: side(sites.plain[distance]) },
    rows: rows.map(({ id, metric, figure }) => ({ id: named(id), metric: `${metric}, ${distance}`, figure })),
  };
}
