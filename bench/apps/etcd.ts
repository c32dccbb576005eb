import { join } from 'node:path';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { loadFailed } from '../report/report.ts';
import { type Member, ready, type Site } from './site.ts';

const MEMBERS_COUNT = 3;
const LOAD = { connections: 8, clients: 32, puts: 1_500, ranges: 3_000, bytes: 256, keys: 1_000 } as const;
/** etcd's own load program, which Debian has no package of. */
const BENCHMARK = join(WEFT_ROOT, 'build/tools/etcd-benchmark');

const LEADER: Member = { name: 'm1', at: 'server', ports: [2379, 2380] };

/** Three members, the leader where the distance says: a write is agreed on between the nodes. */
export const ETCD_MEMBERS: readonly Member[] = [
  LEADER,
  { name: 'm2', at: 'client', ports: [2381, 2382] },
  { name: 'm3', at: 'client', ports: [2383, 2384] },
];

/** Starts the members, waits until all are healthy, and makes the first the leader. */
export async function startEtcd(site: Site): Promise<void> {
  const cluster = ETCD_MEMBERS.map((member) => `${member.name}=${peerUrl(site, member)}`).join(',');
  for (const member of ETCD_MEMBERS) {
    const [client = 0, peer = 0] = member.ports;
    const line = [
      'etcd',
      '--name',
      member.name,
      '--data-dir',
      await site.dataOf(member),
      '--log-level',
      'warn',
      '--logger',
      'zap',
    ];
    const clients = ['--listen-client-urls', `http://0.0.0.0:${client}`, '--advertise-client-urls', clientUrl(site, member)];
    const peers = ['--listen-peer-urls', `http://0.0.0.0:${peer}`, '--initial-advertise-peer-urls', peerUrl(site, member)];
    const together = ['--initial-cluster', cluster, '--initial-cluster-token', site.name, '--initial-cluster-state', 'new'];
    await site.start(member, [...line, ...clients, ...peers, ...together]);
  }
  await ready(site, 'etcd', etcdctl(site, 'endpoint', 'health'), () => true);
  await ready(site, 'leader', etcdctl(site, 'endpoint', 'status', '-w', 'json'), (printed) => leaderOf(printed) !== null);
  const { leads, first } = leaderOf(await site.ask(etcdctl(site, 'endpoint', 'status', '-w', 'json'))) ?? {
    leads: '',
    first: '',
  };
  if (leads !== clientUrl(site, LEADER)) await site.ask(['etcdctl', '--endpoints', leads, 'move-leader', first]);
}

/** `put` and `range`: requests per second of etcd's benchmark at the leader. Errors: WEFT_BENCH_LOAD when one failed. */
export async function measureEtcd(site: Site): Promise<{ put: number; range: number }> {
  const at = ['--endpoints', clientUrl(site, LEADER), '--conns', String(LOAD.connections), '--clients', String(LOAD.clients)];
  const keys = ['--key-space-size', String(LOAD.keys), '--val-size', String(LOAD.bytes)];
  const put = await site.ask([BENCHMARK, ...at, 'put', '--total', String(LOAD.puts), ...keys]);
  // A linearizable read asks the other members too.
  const range = await site.ask([BENCHMARK, ...at, 'range', 'key', '--total', String(LOAD.ranges), '--consistency', 'l']);
  return { put: requestRate(put), range: requestRate(range) };
}

/** Of what etcd's benchmark prints. Errors: WEFT_BENCH_LOAD. */
export function requestRate(printed: string): number {
  const rate = Number(/Requests\/sec:\s*([0-9.]+)/.exec(printed)?.[1]);
  if (!(rate > 0) || /Error distribution/.test(printed)) throw loadFailed('etcd-benchmark', printed);
  return rate;
}

type EndpointStatus = { Endpoint: string; Status: { header: { member_id: string }; leader?: string } };

/** The endpoint that leads, and the id of the first member; null while nobody leads. Ids are too large for JSON's numbers here. */
function leaderOf(printed: string): { leads: string; first: string } | null {
  const exact = printed.replace(/"(member_id|leader)":(\d+)/g, '"$1":"$2"');
  const statuses = JSON.parse(exact) as EndpointStatus[];
  const leads = statuses.find(({ Status }) => Status.leader === Status.header.member_id);
  const [first] = statuses;
  if (leads === undefined || first === undefined || statuses.length < MEMBERS_COUNT) return null;
  return { leads: leads.Endpoint, first: BigInt(first.Status.header.member_id).toString(16) };
}

function etcdctl(site: Site, ...words: string[]): string[] {
  return ['etcdctl', '--endpoints', ETCD_MEMBERS.map((member) => clientUrl(site, member)).join(','), ...words];
}

function clientUrl(site: Site, member: Member): string {
  return `http://${site.host(member)}:${member.ports[0]}`;
}

function peerUrl(site: Site, member: Member): string {
  return `http://${site.host(member)}:${member.ports[1]}`;
}
