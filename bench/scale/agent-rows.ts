import { create, fromBinary } from '@bufbuild/protobuf';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import type { KernelMaps, Table } from '#model/kernel/maps.ts';
import { type Authorization, EMPTY_MATCH, type Match, type PolicyKey, policyKeyOf } from '#model/mesh/authorization.ts';
import { aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { IdTable } from '#model/path/ids.ts';
import type { TableView } from '#model/path/tables.ts';
import { connectionOf, decideL4, policiesFor } from '#model/policy/l4.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { Lookups } from '#node-agent/demand/lookups.ts';
import { memoryKernel } from '#node-agent/kernel/memory-kernel.testing.ts';
import { KernelTables } from '#node-agent/kernel/tables.ts';
import { Verdicts } from '#node-agent/kernel/verdicts.ts';
import { systemClock } from '#platform/clock.ts';
import { DeltaDiscoveryResponseSchema, ResourceSchema } from '#proto/discovery_pb.js';
import { DeltaClientSession, deltaOf as deltaOfUpdate } from '#protocol/xds/client-session.ts';
import { encodeWorkload } from '#protocol/xds/encoded-resource.ts';
import { ADDRESS_TYPE } from '#protocol/xds/type-urls.ts';
import { quantile, type ScaleRow } from './rows.ts';

// What an agent pays as the mesh grows, in a process of its own with maps in memory: its control thread without the system calls.
// Prints its rows as JSON.

const EDITS = 40;
const VIPS = 60;
const LOCAL = 20;
const PORT = 8_080;
const LOCATION = { node: 'one', clusterId: '', network: '', locality: { region: '', zone: '', subzone: '' } };

const rows: ScaleRow[] = [
  memoryPerWorkload(100_000), // first: the others leave room in the heap
  memoryPerName(10_000),

  ...largeService(4_000),
  ...largeService(10_000),
  ...namespaceWidePolicies(1_000, 10_000),
  irrelevantPolicies(10_000),
];
process.stdout.write(`${JSON.stringify(rows)}\n`);

function viewOf(mesh: MeshState, ids: IdTable): TableView {
  return {
    mesh,
    ids,
    isLocal: () => false,
    enrolledAt: () => null,
    enrolledAs: () => null,
    datagramsClear: false,
    location: LOCATION,
  };
}

/** CPU ms of each of `EDITS` runs. */
function cpuOf(edit: (at: number) => void): number[] {
  return Array.from({ length: EDITS }, (_, at) => {
    const before = process.cpuUsage();
    edit(at);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
}

/** `VIPS` addresses of a service; one of its endpoints moves. */
function largeService(endpoints: number): ScaleRow[] {
  const [mesh, ids] = [new MeshState(), new IdTable()];
  const tables = new KernelTables(memoryKernel().maps, SILENT_LOG);
  const service = aService(
    'wide',
    Array.from({ length: VIPS }, (_, at) => `240.0.1.${at}`),
  );
  const endpoint = (at: number, second: number) =>
    aWorkload(`w${at}`, [`10.${second + (at >> 8)}.0.${at & 255}`], { services: endpointOf(service) });
  const all = Array.from({ length: endpoints }, (_, at) => endpoint(at, 1));
  tables.refresh(mesh.apply(deltaOf(all, [service])), viewOf(mesh, ids));
  const took = cpuOf((at) => tables.refresh(mesh.apply(deltaOf([endpoint(at, 100)])), viewOf(mesh, ids)));
  return [
    { id: `scale.agent.endpoint-${endpoints}x${VIPS}.cpu`, value: quantile(took, 0.5), unit: 'ms', bound: 20 },
    { id: `scale.agent.endpoint-${endpoints}x${VIPS}.p99`, value: quantile(took, 0.99), unit: 'ms', bound: null },
  ];
}

function policy(name: string, scope: Authorization['scope'], match: Partial<Match>): [PolicyKey, Authorization] {
  const rules = [{ clauses: [{ matches: [{ ...EMPTY_MATCH, ...match }] }] }];
  const made: Authorization = { name, namespace: 'shop', scope, action: 'deny', dryRun: false, rules };
  return [policyKeyOf(made), made];
}

/** Names whom a policy denies: nobody that is there. */
function denying(account: string): Partial<Match> {
  return { principals: [{ kind: 'exact', value: `cluster.local/ns/shop/sa/${account}` }] };
}

/** A node with `LOCAL` workloads, all of whose pairs have verdicts. */
function nodeOf(workloads: number, policies: readonly [PolicyKey, Authorization][]) {
  const [mesh, ids, kernel] = [new MeshState(), new IdTable(), memoryKernel()];
  const service = aService('all', ['240.0.1.1']);
  const all = Array.from({ length: workloads }, (_, at) => {
    const node = at < LOCAL ? 'one' : 'other';
    return aWorkload(`w${at}`, [`10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`], { node, services: endpointOf(service) });
  });
  mesh.apply({ ...deltaOf(all, [service]), policies: new Map(policies) });
  const local = () => all.slice(0, LOCAL).flatMap(({ uid }) => mesh.workload(uid) ?? []);
  const verdicts = new Verdicts(
    kernel,
    {
      mesh,
      local,
      idOf: ({ uid }) => ids.of('workload', uid),
      party: (id) => {
        const record = mesh.workload(ids.nameOf(id) ?? '');
        return record === null ? null : { identity: identityOf(record), record, isInClear: false, probed: [] };
      },
      lastId: () => ids.last,
      isWhole: () => true,
      datagramsClear: false,
      destroy: () => false,
    },
    { clock: systemClock, log: SILENT_LOG, meters: new Meters('agent') },
  );
  verdicts.publish(false);
  verdicts.renew();
  return { mesh, ids, kernel, verdicts, all };
}

function namespaceWidePolicies(count: number, workloads: number): ScaleRow[] {
  const policies = Array.from({ length: count }, (_, at) => policy(`p${at}`, 'namespace', denying(`nobody-${at}`)));
  const { mesh, ids, kernel, verdicts, all } = nodeOf(workloads, policies);
  const tables = new KernelTables(kernel.maps, SILENT_LOG);
  tables.refresh(mesh.apply(deltaOf(all)), viewOf(mesh, ids));
  const changed = cpuOf((at) => {
    mesh.apply({ ...deltaOf([]), policies: new Map([policy('p7', 'namespace', denying(`other-${at}`))]) });
    verdicts.renew();
  });
  const unrelated = cpuOf((at) => {
    const moved = aWorkload(`w${workloads - 1}`, [`10.250.0.${at}`], { node: 'other' });
    const touched = mesh.apply(deltaOf([moved]));
    tables.refresh(touched, viewOf(mesh, ids));
    verdicts.fill(touched.workloads);
  });
  return [
    { id: 'scale.agent.policy-change.p99', value: quantile(changed, 0.99), unit: 'ms', bound: 50 },
    { id: 'scale.agent.unrelated-change.cpu', value: quantile(unrelated, 0.5), unit: 'ms', bound: 1 },
  ];
}

/** What judging a first connection costs with so many policies that match nothing, over that with none. */
function irrelevantPolicies(count: number): ScaleRow {
  const cost = (policies: readonly [PolicyKey, Authorization][]): number => {
    const { mesh, all } = nodeOf(LOCAL, policies);
    const [source, destination] = all as [Workload, Workload];
    const judge = () =>
      decideL4(
        policiesFor(mesh, mesh.workload(destination.uid) ?? destination),
        connectionOf(source, parseIp('10.0.0.1'), { ip: parseIp('10.0.0.2'), port: PORT }),
      );
    return quantile(
      Array.from({ length: 200 }, () => {
        const before = performance.now();
        for (let times = 0; times < 100; times++) judge();
        return performance.now() - before;
      }),
      0.5,
    );
  };
  const many = Array.from({ length: count }, (_, at) => policy(`p${at}`, 'workload-selector', denying(`nobody-${at}`)));
  return { id: 'scale.agent.first-connection.ratio', value: cost(many) / cost([]), unit: '×', bound: 1.5 };
}

/** Maps that keep nothing: the kernel's memory is not the agent's. */
function noMaps(): KernelMaps {
  const none: Table<unknown, unknown> = {
    get: () => null,
    take: () => null,
    set() {},
    delete: () => false,
    entries: () => [],
  } as unknown as Table<unknown, unknown>;
  return new Proxy({} as KernelMaps, { get: () => none });
}

/** What of the heap an address takes that an agent asks for on demand: whatever else the mesh has costs it nothing. */
function memoryPerName(count: number): ScaleRow {
  const [mesh, ids] = [new MeshState(), new IdTable()];
  const tables = new KernelTables(noMaps(), SILENT_LOG);
  const session = new DeltaClientSession({ id: 'x', metadata: {} }, [{ typeUrl: ADDRESS_TYPE, names: 'on-demand' }]);
  const lookups = new Lookups({ clock: systemClock, dropped: () => [] });
  lookups.connect({ change: (names) => void session.change(names), isConnected: () => true });
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < count; at++) {
    const ip = `10.64.${at >> 8}.${at & 255}`;
    lookups.need('client', [`/${ip}`]);
    const wire = fromBinary(ResourceSchema, encodeWorkload(aWorkload(`w${at}`, [ip], { node: '' })).wire);
    const resources = [{ ...wire, aliases: [`/${ip}`] }];
    const update = session.receive(create(DeltaDiscoveryResponseSchema, { typeUrl: ADDRESS_TYPE, nonce: 'n', resources }));
    lookups.take(update.answers, []);
    tables.refresh(mesh.apply(deltaOfUpdate(update).mesh), viewOf(mesh, ids));
  }
  globalThis.gc?.();
  const grown = process.memoryUsage().heapUsed - before;
  lookups.stop();
  return { id: 'scale.agent.on-demand.name.heap', value: grown / count / 1_024, unit: 'KiB', bound: 4 };
}

/** Resident memory that a workload elsewhere costs, with its record, its name and version, and its entries of tables. */
function memoryPerWorkload(count: number): ScaleRow {
  const [mesh, ids] = [new MeshState(), new IdTable()];
  const tables = new KernelTables(noMaps(), SILENT_LOG);
  const session = new DeltaClientSession({ id: 'x', metadata: {} }, [{ typeUrl: ADDRESS_TYPE, names: [] }]);
  const services = Array.from({ length: 2_000 }, (_, at) => aService(`s${at}`, [`240.0.${at >> 8}.${at & 255}`]));
  tables.refresh(mesh.apply(deltaOf([], services)), viewOf(mesh, ids));
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  for (let from = 0; from < count; from += 400) {
    const resources = Array.from({ length: Math.min(400, count - from) }, (_, at) => {
      const index = from + at;
      const ip = `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
      const [service] = services.slice(index % services.length);
      const own = aWorkload(`w${index}`, [ip], {
        namespace: `ns-${index % 50}`,
        serviceAccount: `s${index % services.length}`,
        node: '',
        services: service === undefined ? new Map() : endpointOf(service),
      });
      return fromBinary(ResourceSchema, encodeWorkload(own).wire);
    });
    const update = session.receive(create(DeltaDiscoveryResponseSchema, { typeUrl: ADDRESS_TYPE, nonce: 'n', resources }));
    tables.refresh(mesh.apply(deltaOfUpdate(update).mesh), viewOf(mesh, ids));
  }
  globalThis.gc?.();
  const grown = process.memoryUsage().rss - before;
  return { id: 'scale.agent.workload.rss', value: grown / count / 1_024, unit: 'KiB', bound: 2 };
}
