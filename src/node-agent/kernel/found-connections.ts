import type { IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import type { LiveFlow } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { PORT } from '#model/mesh/ports.ts';
import { NO_PATH, REFUSED_OUTCOME, recordOf } from '#model/telemetry/access-record.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { Kernel, NamespaceConnections, OpenConnection } from '#node-agent/effects/agent-effects.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { FOUND } from './verdicts.ts';

/** What the connections that were found are judged by. */
export type FoundView = {
  mesh: MeshState;
  local(): Enrolled[];
  /** Of a mesh that is followed in parts: asks whose an address is; true until that is answered. */
  isUnanswered(workload: Enrolled, ip: IpAddress): boolean;
  /** Aborts a kernel connection of an enrolled namespace. */
  destroy(flow: LiveFlow): boolean;
};

/** A connection to an address of which it is not known yet whose it is. */
type Doubtful = { readonly workload: Enrolled; readonly remote: IpAddress; readonly live: LiveFlow };

type Found = NamespaceConnections & { workload: Enrolled };

/** Sockets of the agent itself, and of a waypoint for its own clients, who are judged there. */
const MESH_PORTS: ReadonlySet<number> = new Set([PORT.outbound, PORT.plaintext, PORT.hbone, PORT.dns]);
const WAYPOINT_PORTS: ReadonlySet<number> = new Set([PORT.hbone, PORT.waypoint]);

/**
 * Connections from before this agent, or from before its maps: whatever is open between sockets of apps is written down
 * among the live flows, so that a later policy closes it; what goes to another node past its tunnel is closed at once.
 * Nobody can tell without the mesh, so they are looked up early and settled when it is known.
 */
export class FoundConnections {
  readonly #kernel: Pick<Kernel, 'maps'>;
  readonly #view: FoundView;
  readonly #report: { log: Log; meters: Meters };
  readonly #found = new Map<string, Found>();
  readonly #doubtful = new Set<Doubtful>();

  constructor(kernel: Pick<Kernel, 'maps'>, view: FoundView, report: { log: Log; meters: Meters }) {
    this.#kernel = kernel;
    this.#view = view;
    this.#report = report;
  }

  /** Looks at the sockets that a workload has now; a later look replaces an earlier one. */
  look(workload: Enrolled): void {
    const connections = this.#list(workload);
    if (connections !== null) this.#found.set(workload.request.uid, { ...connections, workload });
  }

  #list({ request, netns }: Enrolled): NamespaceConnections | null {
    try {
      return netns.connections();
    } catch (error) {
      this.#report.log.error({ workload: request.uid, error: messageOf(error) }, 'open connections cannot be listed');
      return null;
    }
  }

  /** Writes down or closes what was found, now that the mesh is known. Policy judges it afterwards. */
  settle(): void {
    const entries = this.#kernel.maps.flows.entries();
    const known = new Set(entries.map(([socketCookie]) => socketCookie));
    let openers: ReadonlySet<string> | null = null;
    for (const found of this.#found.values()) {
      const unknown = found.open.filter(({ socketCookie }) => !known.has(socketCookie));
      if (unknown.length === 0) continue;
      openers ??= new Set(entries.filter(([, { inbound }]) => inbound === 0).map(([, { flow }]) => wordOf(flow)));
      for (const connection of unknown) this.#settle(found, connection, openers);
      this.#forgetEnded(found.workload, unknown);
    }
    this.#found.clear();
  }

  /** More is known of addresses than before. */
  answered(): void {
    for (const one of this.#doubtful) this.#judgeClear(one);
  }

  /** The end of what ended between the look and its record was told before the record: it would stay for good. */
  #forgetEnded(workload: Enrolled, settled: readonly OpenConnection[]): void {
    const now = this.#list(workload);
    if (now === null) return;
    const open = new Set(now.open.map(({ socketCookie }) => socketCookie));
    for (const { socketCookie } of settled) if (!open.has(socketCookie)) this.#kernel.maps.flows.delete(socketCookie);
  }

  /** `openers`: connections of which the end that opened them is written down. */
  #settle(found: Found, connection: OpenConnection, openers: ReadonlySet<string>): void {
    const { workload } = found;
    const { local, remote, localPort, remotePort, socketCookie } = connection;
    if (local === remote || MESH_PORTS.has(localPort)) return;
    const peer = this.#view.local().find(({ addresses }) => addresses.includes(remote));
    const there = peer === undefined ? undefined : this.#found.get(peer.request.uid);
    const inbound = isInbound(found, connection, there);
    if (inbound && (there !== undefined || !workload.addresses.includes(local))) return; // its opener stands for both; loopback
    if (WAYPOINT_PORTS.has(inbound ? localPort : remotePort)) return;
    const netnsCookie = workload.netns.netnsCookie;
    const flow = inbound
      ? { netnsCookie, source: remote, destination: local, sourcePort: remotePort, destinationPort: localPort }
      : { netnsCookie, source: local, destination: remote, sourcePort: localPort, destinationPort: remotePort };
    // The kernel tells of the end of the opener alone: a record of the other end would stay for good.
    if (inbound && openers.has(wordOf(flow))) return;
    const ends = inbound
      ? { sourceId: peer?.id ?? 0, destinationId: workload.id, inbound: 1 }
      : { sourceId: workload.id, destinationId: peer?.id ?? 0, inbound: 0 };
    const live: LiveFlow = { flow, ...ends, generation: FOUND };
    if (inbound || peer !== undefined) this.#keep(socketCookie, live);
    // A pod that ran before somebody meant it for the mesh is not cut off by that (K29).
    else if (workload.request.pod?.ranOutside !== true) this.#judgeClear({ workload, remote, live });
  }

  #judgeClear(one: Doubtful): void {
    const { workload, remote, live } = one;
    if (this.#view.isUnanswered(workload, remote)) return void this.#doubtful.add(one);
    this.#doubtful.delete(one);
    if (this.#isPastTunnel(remote)) this.#close(live, 'it goes to another node in plain text');
  }

  /** What cannot be remembered could not be closed later. */
  #keep(socketCookie: bigint, live: LiveFlow): void {
    try {
      this.#kernel.maps.flows.set(socketCookie, live);
    } catch (error) {
      this.#close(live, `it cannot be written down: ${messageOf(error)}`);
    }
  }

  #isPastTunnel(remote: IpAddress): boolean {
    return this.#view.mesh.workloadByIp(remote)?.tunnelProtocol === 'hbone';
  }

  #close(live: LiveFlow, reason: string): void {
    const { mesh, destroy } = this.#view;
    const { source, destination, sourcePort, destinationPort } = live.flow;
    const endOf = (ip: IpAddress | null, port: number) => ({
      end: ip === null ? null : { ip, port },
      workload: ip === null ? null : mesh.workloadByIp(ip),
    });
    let error = reason;
    try {
      if (!destroy(live)) return; // it has ended by itself
    } catch (cause) {
      error = `${reason}, and cannot be closed: ${messageOf(cause)}`;
    }
    const reporter = live.inbound === 1 ? 'destination' : 'source';
    this.#report.meters.counter('weft_refusals_total', { reporter, cause: 'not-captured' }).add();
    this.#report.log.warn(
      recordOf(
        { ...endOf(source, sourcePort), identity: null },
        { reporter, dialled: null },
        { ...NO_PATH, ...endOf(destination, destinationPort) },
        { ...REFUSED_OUTCOME, flag: 'CONNECT', cause: 'not-captured', policy: null, rule: null, error },
      ),
      'connection closed that nobody judged',
    );
  }
}

function wordOf({ source, sourcePort, destination, destinationPort }: LiveFlow['flow']): string {
  return `${source} ${sourcePort} ${destination} ${destinationPort}`;
}

/** The kernel does not say who opened a connection: whose port is listened on did not; else the lower port is the server's. */
function isInbound({ listening }: Found, { localPort, remotePort }: OpenConnection, there: Found | undefined): boolean {
  if (listening.has(localPort)) return true;
  if (there?.listening.has(remotePort) === true) return false;
  return localPort < remotePort;
}
