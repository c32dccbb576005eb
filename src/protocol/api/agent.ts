/**
 * The agent's local API: HTTP/1.1 with JSON on a unix socket only root can open.
 * Used by `weft run`, `weft status` and the waypoint controller.
 *
 *   POST   /v1/workloads                    WorkloadRequest → StartedWorkload (sandbox made, enrolled, registered)
 *   DELETE /v1/workloads/<namespace>/<name> 204, idempotent; what lives in it is told to end, and killed after ?graceMs= or the
 *                                           usual time; then the sandbox is removed
 *   POST   /v1/workloads/<namespace>/<name>/drain { draining } → 204; whether new connections are to go elsewhere
 *   GET    /v1/status                       AgentStatus
 *   GET    /v1/handover                     { leaving } whether it was told to stop, and would leave its node to any other agent
 *   POST   /v1/handover                     { onlyLeaving } → Handover; another agent goes on with the node: this one accepts nothing more, gives up this
 *                                           socket, and ends when what it carries has ended
 *   GET    /v1/log-level, POST { level }          LogLevelStatus of src/protocol/api/log-level.ts
 *   POST   /v1/cleanup                      204; leaves the mesh: removes every trace from kernel and disk, then exits
 *
 * Errors: 4xx/5xx with ApiError of src/protocol/api/reply.ts.
 */

import type { WorkloadRequest } from '#model/mesh/registration.ts';
import type { LogLevel } from '#model/telemetry/log-level.ts';
import type { LogLevelStatus } from './log-level.ts';

/** Answer to POST /v1/workloads: where the process has to be started. */
export type StartedWorkload = {
  uid: string;
  addresses: string[];
  /** Path of the network namespace, for nsenter --net. */
  netnsPath: string;
  /** Directory of the cgroup v2 the process must join before it makes a socket. */
  cgroupPath: string;
  /** A resolv.conf to mount over /etc/resolv.conf. */
  resolvConfPath: string;
};

/** Whether splice(2) reads what a path from socket to socket puts into a socket; unknown: it could not be tried. */
export type SpliceReaders = 'served' | 'not served' | 'unknown';

/** Answer to GET /v1/status. */
export type AgentStatus = {
  node: string;
  version: string;
  pid: number;
  /** Identity and expiry of each certificate held. */
  certificates: { identity: string; notAfter: string; renewing: boolean; error: string | null }[];
  controlPlane: { address: string; connected: boolean; syncedAt: string | null; error: string | null };
  /** Workloads enrolled on this node. */
  enrolled: {
    uid: string;
    name: string;
    namespace: string;
    serviceAccount: string;
    addresses: string[];
    /** Ports of this machine that lead to it, `0.0.0.0:8080->80/tcp`. Absent: by an agent that cannot publish any. */
    published?: string[];
    ready: boolean;
    /** New connections go elsewhere. Absent: by an agent that cannot drain. */
    draining?: boolean;
    problem: string | null;
  }[];
  /** Every workload known, with the path a connection from this node would take to it. */
  workloads: { uid: string; identity: string; node: string; addresses: string[]; path: string }[];
  services: number;
  policies: number;
  /** What becomes of datagrams to workloads of other nodes. Absent: by an agent that refuses them all. */
  udpBetweenNodes?: 'refuse' | 'allow-plaintext';
  /** On demand: names that the control plane was asked for which something has, nothing has, or which it has not answered. Absent: it is not. */
  lookups?: { known: number; unknown: number; open: number };
  /** pinDir: where the data path is pinned; a waypoint on this node reads attested flows there. */
  kernel: {
    pinDir: string;
    generation: number;
    liveDirectFlows: number;
    verdicts: number;
    counters: Record<string, number>;
    /** What keeps the path `spliced` from being an offer, of which there is none yet. Absent: by an agent that did not try. */
    spliceReaders?: SpliceReaders;
  };
  /** `host:port` of the metrics page; null: there is none. */
  metrics: string | null;
  /** Missing kernel features and what is lost by each, and whatever else this agent does without. */
  degraded: string[];
};

/**
 * A listening socket of the agent in a workload's namespace, or of the machine for it (`published`; `port` is its place among those
 * that the workload has): `fd` is its number in the process that hands it over.
 */
export type HandedSocket = { netnsCookie: string; transport: 'tcp' | 'udp' | 'published'; port: number; fd: number };

/** Answer to POST /v1/handover: the process that holds them, for whoever may look into it. */
export type Handover = { pid: number; sockets: HandedSocket[] };

/** The local API of one agent. Errors: WEFT_NO_AGENT when it does not answer, WEFT_NOT_ROOT, and those the agent gives. */
export type AgentClient = {
  status(): Promise<AgentStatus>;
  start(workload: WorkloadRequest): Promise<StartedWorkload>;
  /** graceMs: how long it may take to end by itself; the agent's usual time when it is left out. */
  stop(namespace: string, name: string, graceMs?: number): Promise<void>;
  /** Whether new connections are to go elsewhere. */
  drain(namespace: string, name: string, draining: boolean): Promise<void>;
  /** Whether it was told to stop. */
  leaving(): Promise<boolean>;
  /** `onlyLeaving`: WEFT_ALREADY_RUNNING unless it was told to stop. */
  handOver(onlyLeaving: boolean): Promise<Handover>;
  cleanup(): Promise<void>;
  /** The level of its log; with one, which it has from now on. */
  logLevel(level?: LogLevel): Promise<LogLevelStatus>;
};
