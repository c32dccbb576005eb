import { closeSync, openSync } from 'node:fs';
import { readKernel } from '#main/agent/effects.ts';
import { type Log, SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { type Credentials, formatIdentity, type Identity } from '#model/identity/identity.ts';
import { SCHEMA } from '#model/kernel/abi.ts';
import { type Authorization, EMPTY_MATCH } from '#model/mesh/authorization.ts';
import { aService, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { Agent } from '#node-agent/agent.ts';
import { carryHere } from '#node-agent/data-plane.ts';
import type { AgentEffects, AgentOptions, ControlSide } from '#node-agent/effects/agent-effects.ts';
import type { DataEffects } from '#node-agent/effects/data-effects.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import { ensureBpffs } from '#platform/bpf/bpffs.ts';
import { openDatapath } from '#platform/bpf/datapath.ts';
import type { DatapathMaps } from '#platform/bpf/pins.ts';
import { counterReader } from '#platform/bpf/reports.ts';
import { systemClock } from '#platform/clock.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import type { TestCa } from '#platform/hbone/test-ca.testing.ts';
import { chooseIo } from '#platform/io/choice/choose.ts';
import { CarriedNamespace } from '#platform/linux/netns/carried-namespace.ts';
import { HandedSockets } from '#platform/linux/netns/handed-sockets.ts';
import { inNamespace } from '#platform/linux/netns/namespace.ts';
import { WorkloadNamespace } from '#platform/linux/netns/workload-namespace.ts';
import { Revocations } from '#protocol/identity/revocation.ts';
import { type Bed, OBJECTS_DIR } from './bed.testing.ts';

const NOTHING_HANDED = new HandedSockets(null);

type WorkloadInput = { name: string; addresses: string[]; services?: Record<string, [number, number][]>; node?: string };

/** A workload record of namespace shop and the request that enrolls it. */
export function workload(input: WorkloadInput): { workload: Workload; request: Omit<EnrollmentRequest, 'netnsPath'> } {
  const { name, addresses, node = 'one' } = input;
  const services = new Map(
    Object.entries(input.services ?? {}).map(([key, ports]) => [
      key,
      ports.map(([servicePort, targetPort]) => ({ servicePort, targetPort })),
    ]),
  );
  const record = aWorkload(name, addresses, { node, services });
  const { uid, namespace, serviceAccount } = record;
  return {
    workload: record,
    request: { uid, name, namespace, serviceAccount, labels: {}, addresses, nativeTunnel: false, link: null },
  };
}

const NOTHING: MeshDelta = { workloads: new Map(), services: new Map(), policies: new Map() };

export function workloadDelta(...all: Workload[]): MeshDelta {
  return { ...NOTHING, workloads: new Map(all.map((one) => [one.uid, one])) };
}

export function serviceDelta(hostname: string, vips: string[], ports: [number, number][]): Pick<MeshDelta, 'services'> {
  const service = aService(hostname, vips, {
    hostname,
    ports: ports.map(([servicePort, targetPort]) => ({ servicePort, targetPort, appProtocol: 'tcp' })),
  });
  return { services: new Map([[`shop/${hostname}`, service]]) };
}

/** A policy of namespace shop on one principal; principal null: every peer without identity; action null: gone. */
export function policyDelta(name: string, action: 'allow' | 'deny' | null, principal: string | null): MeshDelta {
  const match =
    principal === null
      ? { ...EMPTY_MATCH, notPrincipals: [{ kind: 'presence' as const }] }
      : { ...EMPTY_MATCH, principals: [{ kind: 'exact' as const, value: principal }] };
  const policy: Authorization | null =
    action === null
      ? null
      : { name, namespace: 'shop', scope: 'namespace', action, dryRun: false, rules: [{ clauses: [{ matches: [match] }] }] };
  return { ...NOTHING, policies: new Map([[`shop/${name}`, policy]]) };
}

export type AgentOnOptions = {
  /** Programs with other tables than the real ones. */
  objectsDir?: string;
  node?: string;
  /** Real tunnels with certificates of this authority; without it there are none. */
  ca?: TestCa;
  /** Another number than that of the programs: an agent of another version. */
  schema?: number;
  /** The bed on whose switch the links of this agent's workloads end, if it is another one. */
  linkedBy?: Bed;
  /** Hears the log. */
  onLine?: (fields: object, message: string) => void;
  /** Datagrams to workloads of other nodes go in clear. */
  datagramsClear?: boolean;
  /** What names outside the mesh stand for. */
  resolveName?: AgentEffects['resolveName'];
  /** Who answers names; without it `answerDatagram` does. */
  dns?: AgentOptions['dns'];
  /** What the agent answers to a datagram on its DNS port. */
  answerDatagram?: (query: Buffer, workload: string) => Buffer;
};

const IO = chooseIo(process.env.WEFT_IO, systemClock, SILENT_MISHAPS);

/** The tunnel side of an agent: real TLS where there is an authority. */
function tunnelEffects(
  ca: TestCa | undefined,
): Pick<DataEffects, 'credentials' | 'createPool' | 'createHboneServer' | 'revocations'> {
  if (ca === undefined) {
    return {
      credentials: () => Promise.reject(new Error('no certificates here')),
      createPool: () => ({
        open: async () => ({ kind: 'failed', flag: 'CONNECT', error: new Error('no tunnels here') }),
        size: () => 0,
        close() {},
      }),
      createHboneServer: () => ({ handle: (stream) => stream.reset(), drain() {}, close() {} }),
    };
  }
  const issued = new Map<string, Promise<Credentials>>();
  const credentials = (identity: Identity): Promise<Credentials> => {
    const uri = formatIdentity(identity);
    const known = issued.get(uri) ?? ca.issue(uri);
    issued.set(uri, known);
    return known;
  };
  const revocations = new Revocations();
  return {
    credentials,
    revocations,
    createPool: (dial) =>
      createClientPool({
        revocations,
        io: IO,
        dial,
        credentials,
        clock: systemClock,
        random: Math.random,
        log: SILENT_LOG,
        mishaps: SILENT_MISHAPS,
      }),
    createHboneServer: (options) =>
      createHboneServer({ ...options, revocations, io: IO, clock: systemClock, log: SILENT_LOG, mishaps: SILENT_MISHAPS }),
  };
}

const COMMON = { clock: systemClock, random: Math.random, log: SILENT_LOG, mishaps: SILENT_MISHAPS };

/** What carries the connections of an agent in this process. */
function dataOf(
  maps: DatapathMaps,
  tunnels: ReturnType<typeof tunnelEffects>,
  log: Log,
  { meters, shares }: ControlSide,
): DataEffects {
  return {
    ...{ ...tunnels, ...COMMON, log, maps, meters, shares, threads: 1 },
    openNamespace: (fd, cookie) => new CarriedNamespace(fd, cookie, maps, IO),
    randomBytes: (count) => new Uint8Array(count),
  };
}

function hearingLog(onLine: (fields: object, message: string) => void): Log {
  return { debug: onLine, info: onLine, warn: onLine, error: onLine, child: () => hearingLog(onLine) };
}

/** A bed's links end in a namespace of their own, where a node's agent would run. */
function onSwitch(bed: Bed, action: () => void): void {
  const fd = openSync(bed.switchPath, 'r');
  try {
    inNamespace(fd, action);
  } finally {
    closeSync(fd);
  }
}

function optionsOf({ node = 'one', datagramsClear = false, answerDatagram, dns }: AgentOnOptions): AgentOptions {
  const echo = {
    handleUdp: async (query: Buffer, uid: string) => answerDatagram?.(query, uid) ?? null,
    handleTcp: async () => {},
    stop() {},
  };
  return {
    node,
    trustDomain: 'cluster.local',
    descriptorsMax: 20_000,
    datagramsClear,
    onDemand: false,
    dns: dns ?? (() => echo),
  };
}

/** An agent in this process over the bed's kernel side. */
export function agentOn(
  bed: Bed,
  options: AgentOnOptions = {},
): {
  agent: Agent & { kernelMaps(): AgentEffects['kernel']['maps'] };
  /** The certificate of a workload of this agent. */
  certificateOf(identity: Identity): Promise<Credentials>;
  /** What an agent does once what it found is enrolled again. */
  takeOver(): void;
  stop(): void;
  counters(): Record<string, number>;
  /** Hands the kernel's events to the agent, as its process does on a timer; says how many they were. */
  readEvents(most?: number): number;
  adopted: boolean;
  guarded: boolean;
} {
  ensureBpffs(bed.bpffs);
  const { schema = SCHEMA, objectsDir = OBJECTS_DIR, onLine } = options;
  const log = onLine === undefined ? SILENT_LOG : hearingLog(onLine);
  const datapath = openDatapath({ pinDir: bed.pinDir, cgroupPath: bed.cgroup, objectsDir, schema });
  const { maps } = datapath;
  const { all: counters, one: counter } = counterReader(maps.counters);
  const tunnels = tunnelEffects(options.ca);
  const effects: AgentEffects = {
    kernel: {
      ...datapath,
      maps,
      schema,
      counters,
      counter,
      guardLink: (link, cookie) => onSwitch(options.linkedBy ?? bed, () => datapath.guardLink(link, cookie)),
    },
    openNamespace: (path) => new WorkloadNamespace(path, maps, { io: IO, mishaps: SILENT_MISHAPS, former: NOTHING_HANDED }),
    credentials: tunnels.credentials,
    forgetCredentials() {},
    startCarriers: (control) => [carryHere(dataOf(maps, tunnels, log, control), control)],
    ...{ ...COMMON, log },
    isOfKubelet: () => false,
    resolveName: options.resolveName ?? (() => Promise.reject(new Error('no nameserver here'))),
  };
  const kernelMaps = () => effects.kernel.maps;
  const agent = Object.assign(new Agent(effects, optionsOf(options)), { kernelMaps });
  const events = readKernel(maps, agent, SILENT_MISHAPS);
  let stopped = false;
  return {
    ...{ agent, certificateOf: tunnels.credentials, counters },
    readEvents: (most = Number.MAX_SAFE_INTEGER) => events.drain(most),
    adopted: datapath.adopted,
    guarded: datapath.guarded,
    takeOver: () => {
      datapath.activate();
      agent.succession.takeOver();
    },
    stop: () => {
      if (stopped) return;
      stopped = true;
      agent.stop();
      events.close();
      datapath.close();
    },
  };
}
