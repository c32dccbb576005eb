import { fromBinary } from '@bufbuild/protobuf';
import { ResourceStore } from '#control-plane/discovery/resource-store.ts';
import { type Authorization, policyKeyOf } from '#model/mesh/authorization.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { type AgentRig, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { DeltaClientSession, deltaOf } from '#protocol/xds/client-session.ts';
import { encodeResponse } from '#protocol/xds/encode-response.ts';
import { DeltaServerSession } from '#protocol/xds/server-session.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '#protocol/xds/type-urls.ts';

/** An agent that follows what its workloads need, and a control plane of ours that tells it; in memory, the wire comes later. */
export type DemandRig = {
  rig: AgentRig;
  /** Names that were asked for, and left with a minus, in order; without those of enrolments. */
  asked: string[];
  /** The stream ends: what is asked for reaches nobody, and nothing is told. */
  disconnect(): void;
  /** Another one begins. */
  connect(): void;
  /** The control plane has these from now on, or no longer. */
  has(change: { workloads?: Workload[]; services?: Service[]; policies?: Authorization[]; gone?: (Workload | Service)[] }): void;
  /** What the agent knows, by names of records. */
  knows(): string[];
};

/** Told until it has nothing to ask: the first answer is in. */
export async function startDemandRig(own: readonly Workload[] = []): Promise<DemandRig> {
  const rig = startAgentRig({ onDemand: true });
  const store = new ResourceStore(0);
  let nonces = 0;
  const newServer = () => new DeltaServerSession({ view: store, newNonce: () => String(++nonces) });
  let server: DeltaServerSession | null = null;
  const session = new DeltaClientSession({ id: 'one', metadata: { NODE_NAME: 'one' } }, [
    { typeUrl: AUTHORIZATION_TYPE, names: [] },
    { typeUrl: ADDRESS_TYPE, names: 'on-demand' },
  ]);
  const pinned = new Set<string>();
  const tell = (): void => {
    while (server !== null) {
      const next = server.next();
      if (next === null) break;
      if (next === 'later') continue;
      const update = session.receive(fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(encodeResponse(next))));
      const { mesh } = deltaOf(update);
      rig.agent.hear(mesh, update.answers);
      server.receive(update.reply);
    }
    if (session.synced && !rig.agent.synced) rig.agent.applyMesh(NO_CHANGE, true);
  };
  const later = (): void => void setImmediate(tell);
  const demand: DemandRig = {
    rig,
    asked: [],
    disconnect() {
      server = null;
    },
    connect() {
      server = newServer();
      for (const first of session.open()) server.receive(first);
      later();
    },
    has({ workloads = [], services = [], policies = [], gone = [] }) {
      const goneWorkloads = gone.flatMap((one) => ('uid' in one ? [[one.uid, null] as const] : []));
      const goneServices = gone.flatMap((one) => ('uid' in one ? [] : [[serviceKeyOf(one), null] as const]));
      const mesh: MeshDelta = {
        workloads: new Map([...workloads.map((one) => [one.uid, one] as const), ...goneWorkloads]),
        services: new Map([...services.map((one) => [serviceKeyOf(one), one] as const), ...goneServices]),
        policies: new Map(policies.map((one) => [policyKeyOf(one), one])),
      };
      store.apply({ mesh, waypoints: new Map() });
      later();
    },
    knows: () => [...rig.agent.mesh.workloads(), ...rig.agent.mesh.services()].map(({ name }) => name).sort(),
  };
  for (const one of own) {
    for (const ip of one.addresses) pinned.add(`/${ip}`);
    await rig.enroll(one);
  }
  demand.has({ workloads: [...own] });
  demand.connect();
  rig.agent.demand?.connect({
    change(names) {
      const request = session.change(names);
      const told = [...names.unsubscribe.map((name) => `-${name}`), ...names.subscribe];
      demand.asked.push(...told.filter((name) => !pinned.has(name.replace('-', ''))));
      server?.receive(request);
      later();
    },
    isConnected: () => server !== null,
  });
  while (!rig.agent.synced) await new Promise((resolve) => setImmediate(resolve));
  return demand;
}

const NO_CHANGE: MeshDelta = { workloads: new Map(), services: new Map(), policies: new Map() };
