import type { ReplicaStatus } from '#model/effects/replica.ts';
import type { LogLevel } from '#model/telemetry/log-level.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import type { RotationStep } from '#model/trust/root-rotation.ts';
import type { DescribedKind, Description } from '#protocol/api/describe.ts';
import type { LogLevelStatus } from '#protocol/api/log-level.ts';
import type { TypeStatus } from '#protocol/xds/server-session.ts';

/**
 * The control plane's local API: HTTP/1.1 with JSON on a unix socket that only root can open.
 *
 *   GET  /v1/status          ControlStatus
 *   POST /v1/describe        { kind, namespace, name } → Description of src/protocol/api/describe.ts
 *   POST /v1/tokens          TokenRequest → TokenResponse
 *   POST /v1/tokens/revoke   { node, freeAddresses } → 204; every token made for the node until now is refused
 *   GET  /v1/log-level, POST { level } → LogLevelStatus of src/protocol/api/log-level.ts
 *   POST /v1/resources/…     those of src/protocol/api/resources.ts
 *   POST /v1/waypoints/stop  204; ends every waypoint, and starts none until the control plane is started again
 *
 * Errors: 4xx/5xx with ApiError of src/protocol/api/reply.ts.
 */
export type ControlStatus = {
  pid: number;
  version: string;
  startedAt: string;
  /** `host:port` that agents connect to. */
  address: string;
  trustDomain: string;
  rootNamespace: string;
  /** How it stands among other replicas; null: there are none. */
  replica: ReplicaStatus | null;
  resources: { addresses: number; policies: number; waypoints: number };
  nodes: NodeStatus[];
  connections: ConnectionStatus[];
  waypoints: WaypointStatus[];
  findings: FindingStatus[];
  conditions: ConditionStatus[];
  /** Nodes whose token came from a second machine lately, which was refused, by the addresses of both. */
  rivals: readonly { node: string; from: string; also: string }[];
  /** One sentence each: clients that lag behind, waypoints that do not run, state that could not be kept. */
  outOfDate: string[];
};

/** One node that registered workloads or is connected. */
export type NodeStatus = { node: string; connected: boolean; registeredWorkloads: number };

/** One open discovery stream. */
export type ConnectionStatus = {
  /** Node id of the client, in the form of discovery requests; '' before its first request. */
  id: string;
  /** The node it speaks for; '' for waypoints. */
  node: string;
  namespace: string;
  serviceAccount: string;
  peer: string;
  connectedAt: string;
  types: TypeStatus[];
  /** Everything was sent, acknowledged and accepted. */
  upToDate: boolean;
};

/** One Gateway that is to have a waypoint. */
export type WaypointStatus = {
  namespace: string;
  gateway: string;
  state: 'running' | 'starting' | 'stopped';
  /** Connected to discovery and up to date. */
  ready: boolean;
  restarts: number;
  /** Why it does not run; null while all is well. */
  problem: string | null;
};

/**
 * Where a resource was written: a place in a file, or an object of an API server (or one that a node registered), which has
 * no lines. Lines and columns count from 1.
 */
export type Origin =
  | { kind: 'file'; file: string; line: number; column: number }
  | { kind: 'object'; object: { kind: string; namespace: string; name: string }; fieldPath: string };

/** One thing wrong with the configuration. An error means that the document was rejected. */
export type FindingStatus = {
  code: string;
  severity: 'error' | 'warning';
  origin: Origin;
  /** `Kind namespace/name`, or '' when the document does not say. */
  resource: string;
  /** For example `spec.rules[0].from[1].source.ipBlocks[0]`; '' for the whole document. */
  fieldPath: string;
  message: string;
  remedy: string;
};

/** One condition of a resource, as its status would show it in a cluster. */
export type ConditionStatus = { resource: string; type: string; status: 'True' | 'False'; reason: string; message: string };

/** Whose token, and what its node is trusted with. addresses empty: ranges that no other node has. ttlSeconds: absent for the default. */
export type TokenRequest = { node: string; ttlSeconds?: number } & NodeGrant;

/** A token, and what else an agent needs to use it. */
export type TokenResponse = {
  token: string;
  expiresAt: string;
  rootsPem: string;
  address: string;
  /** Ranges of the node's workloads. */
  addresses: readonly string[];
};

/**
 * The authority of the mesh: the root that signs first (or, of a given signer, all roots). `rotation`: the step of one that is under way, in which it
 * is since `since`, and at the earliest until `nextStepAt`; times in ISO 8601.
 */
export type CaStatus = {
  signer: 'own' | 'given';
  rotation: RotationStep | null;
  since: string | null;
  nextStepAt: string | null;
  roots: readonly { fingerprint: string; subject: string; expiresAt: string }[];
};

/** The local API of the control plane. Errors: WEFT_NO_CONTROL when it does not answer, WEFT_NOT_ROOT, and those it gives. */
export type ControlClient = {
  status(): Promise<ControlStatus>;
  describe(subject: { kind: DescribedKind; namespace: string; name: string }): Promise<Description>;
  token(request: TokenRequest): Promise<TokenResponse>;
  /** freeAddresses: the node is gone for good, and other nodes may be given its ranges. */
  revoke(node: string, freeAddresses?: boolean): Promise<void>;
  ca(): Promise<CaStatus>;
  /** Begins to replace the root. Errors: WEFT_CA_ROTATING, WEFT_CA_GIVEN, WEFT_NOT_LEADER. */
  rotateRoot(): Promise<CaStatus>;
  stopWaypoints(): Promise<void>;
  /** The level of its log; with one, which it has from now on. */
  logLevel(level?: LogLevel): Promise<LogLevelStatus>;
};
