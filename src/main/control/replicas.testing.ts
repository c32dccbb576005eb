import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort, type Serving, scratch, serving } from '#main/weft-process.testing.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { type EtcdCluster, until } from '#platform/etcd/cluster.testing.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { controlClient } from '#platform/local-api/clients.ts';
import type { ControlClient, ControlStatus } from '#protocol/api/control.ts';

/** A control plane as a process of its own, one of several over one etcd. */
export type ReplicaProcess = {
  /** `host:port` that agents dial; its name among the others. */
  address: string;
  socket: string;
  api: ControlClient;
  process: Serving;
};

/** Starts one and waits until it serves. `prefix`: of its keys. `address`: of an earlier one, in whose place it comes. */
export async function replicaProcess(
  t: TestContext,
  etcd: EtcdCluster,
  prefix: string,
  address?: string,
): Promise<ReplicaProcess> {
  const dir = scratch(t);
  const at = address ?? `127.0.0.1:${await freePort()}`;
  const socket = join(dir, 'control.sock');
  const args = ['--store', `etcd://${etcd.members.join()}/${prefix}`, '--listen', at, '--socket', socket];
  const process = serving(t, ['control', ...args, '--state-dir', join(dir, 'state'), '--stats', 'off']);
  await process.said('control plane is serving');
  return { address: at, socket, api: controlClient(socket), process };
}

/** How a replica stands among the others. */
export async function standing({ api }: ReplicaProcess): Promise<NonNullable<ControlStatus['replica']>> {
  const { replica } = await api.status();
  if (replica === null) throw new Error('it is no replica');
  return replica;
}

/** The one of these that leads, once all of them say so. */
export function leaderOf(replicas: readonly ReplicaProcess[], withinMs: number): Promise<ReplicaProcess> {
  return until(
    'a leader that all agree on',
    async () => {
      const all = await Promise.all(replicas.map(standing));
      const leaders = replicas.filter((_one, at) => all[at]?.role === 'leader');
      const [leader] = leaders;
      if (leader === undefined || leaders.length > 1) throw new Error(`${leaders.length} lead`);
      const names = all.map((one) => one.leader);
      if (names.some((name) => name !== leader.address)) throw new Error(`they name ${names.join()}`);
      return leader;
    },
    withinMs,
  );
}

/** How an agent reaches a replica with a token that another one made. */
export async function endpointAt(leader: ReplicaProcess, at: string, node: string, grant: NodeGrant): Promise<ControlEndpoint> {
  const { token, rootsPem } = await leader.api.token({ node, ...grant });
  return { address: at, rootsPem: async () => rootsPem, token: async () => token, serverName: null, clusterId: 'Kubernetes' };
}

/** Puts a document into etcd as a resource; null: takes it away. */
export async function putResource(etcd: EtcdCluster, prefix: string, key: string, text: string | null): Promise<void> {
  const name = `${prefix}/resources/${key}`;
  if (text === null) await etcd.ctl('del', name);
  else await etcd.ctl('put', '--', name, text);
}
