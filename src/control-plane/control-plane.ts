import { create } from '@bufbuild/protobuf';
import type { Authenticator, Caller, TokenIssuer } from '#control-plane/authentication/authenticator.ts';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { createCertificate, NodeIdentities } from '#control-plane/ca/create-certificate.ts';
import { DiscoveryServer } from '#control-plane/discovery/discovery-server.ts';
import { ResourceStore } from '#control-plane/discovery/resource-store.ts';
import type { IndexChange, IndexDelta } from '#control-plane/index/index-delta.ts';
import type { MeshIndex } from '#control-plane/index/mesh-index.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { KeptAllocations } from '#control-plane/kept-allocations.ts';
import { registeredUid } from '#control-plane/mesh/registered-endpoints.ts';
import { NodeRegistry } from '#control-plane/registry/node-registry.ts';
import { formatFinding, formatOrigin } from '#control-plane/resources/finding.ts';
import type { Source } from '#control-plane/sources/source.ts';
import { controlStatus, type StatusFrame } from '#control-plane/status/control-status.ts';
import { FindingsBoard } from '#control-plane/status/findings-board.ts';
import type { WaypointRunner } from '#control-plane/waypoints/plan.ts';
import { WaypointController } from '#control-plane/waypoints/waypoint-controller.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { IstioCertificateRequest, IstioCertificateResponse } from '#proto/ca_pb.js';
import { type SyncWorkloadsRequest, type SyncWorkloadsResponse, SyncWorkloadsResponseSchema } from '#proto/weft_pb.js';
import type { ControlStatus, Origin } from '#protocol/api/control.ts';
import type { DiscoveryListener, DiscoveryStream } from '#protocol/xds/server-session.ts';

/** Service account of every agent, in the root namespace. */
const AGENT_ACCOUNT = 'weft-agent';

/** What a control plane is made of. */
export type ControlPlaneOptions = {
  index: MeshIndex;
  source: Source;
  mesh: MeshOptions;
  state: StateStore;
  allocations: KeptAllocations;
  authority: CertificateAuthority;
  authenticator: Authenticator;
  /** Makes what `authenticator` accepts. */
  tokens: TokenIssuer;
  /** null: Gateways get no waypoints here. */
  runner: WaypointRunner | null;
  clock: Clock;
  log: Log;
  newNonce: () => string;
};

/**
 * Everything the control plane is, without the sockets and files: configuration and registrations go in, and every
 * change is in force at the clients within the same turn.
 */
export class ControlPlane {
  readonly waypoints: WaypointController | null;
  readonly #options: ControlPlaneOptions;
  readonly #store: ResourceStore;
  readonly #discovery: DiscoveryServer;
  readonly #registry: NodeRegistry;
  readonly #findings: FindingsBoard;
  readonly #identities = new NodeIdentities();

  constructor(options: ControlPlaneOptions) {
    const { clock, log, newNonce, source, state, runner, mesh, tokens } = options;
    this.#options = options;
    this.#store = new ResourceStore(clock.nowMs());
    this.#discovery = new DiscoveryServer({ store: this.#store, clock, log, newNonce });
    this.#findings = new FindingsBoard(source);
    this.#registry = new NodeRegistry({
      store: state,
      log,
      uidOf: (workload) => registeredUid(workload, mesh),
      apply: (nodes) => {
        // Locating findings reads files; a report of a node that changes none must not pay for that.
        if (this.#apply({ nodes }).problems.size > 0) this.#tellFindings();
      },
      isConnected: (node) => this.#discovery.isConnected(node),
    });
    const mintToken = ({ namespace, serviceAccount }: { namespace: string; serviceAccount: string }) =>
      tokens.mint({ namespace, serviceAccount, node: null }, CERTIFICATE.waypointTokenMs);
    this.waypoints = runner === null ? null : new WaypointController({ runner, mintToken, clock, log });
  }

  /**
   * Takes the first configuration together with what nodes registered before the last stop, then follows its source. What is
   * served from now on is whole: nobody must be told that a workload is gone because its agent has not reconnected yet (C15).
   * Errors: WEFT_STATE_DIR, and those of the source.
   */
  async begin(): Promise<void> {
    const { source, log } = this.#options;
    let nodes: IndexChange['nodes'] = await this.#registry.load();
    await source.start({
      change: (change) => {
        this.#apply({ ...change, nodes: nodes ?? new Map() });
        nodes = undefined;
        this.#tellFindings();
      },
      trouble: (problem) => log.error({ err: problem }, 'configuration cannot be read'),
    });
  }

  /** Ends every client's stream so that it tries again, here or at another replica. */
  endStreams(): void {
    this.#discovery.close();
  }

  /** Follows the configuration no longer; resolves when all that is to be kept is. */
  async close(): Promise<void> {
    await this.#options.source.stop();
    await this.#options.allocations.settled();
  }

  /** A token for the agent of `node`; ttlMs null: the default. */
  async mintAgentToken(node: string, ttlMs: number | null = null): Promise<{ token: string; expiresAtMs: number }> {
    const { tokens, mesh, clock } = this.#options;
    const lastsMs = ttlMs ?? CERTIFICATE.agentTokenMs;
    const token = await tokens.mint({ namespace: mesh.rootNamespace, serviceAccount: AGENT_ACCOUNT, node }, lastsMs);
    return { token, expiresAtMs: clock.nowMs() + lastsMs };
  }

  /** The status page. */
  status(frame: StatusFrame): ControlStatus {
    const { source, allocations } = this.#options;
    return controlStatus({
      frame,
      resources: this.#store.counts(),
      connections: this.#discovery.connections(),
      registered: this.#registry.nodes(),
      waypoints: this.waypoints?.states() ?? [],
      findings: this.#findings.all(),
      conditions: source.conditions(),
      problems: [this.#registry.problem(), allocations.problem(), ...source.problems()].filter((problem) => problem !== null),
    });
  }

  // The handlers of src/platform/grpc/server.ts:

  async authenticate(authorizationHeader: string | undefined): Promise<Caller> {
    return this.#options.authenticator.authenticate(authorizationHeader);
  }

  discover(caller: Caller, stream: DiscoveryStream): DiscoveryListener {
    return this.#discovery.open(caller, stream);
  }

  async createCertificate(caller: Caller, request: IstioCertificateRequest): Promise<IstioCertificateResponse> {
    const { mesh, authority, log } = this.#options;
    const identitiesOnNode = (node: string) => this.#identities.identitiesOnNode(node);
    return createCertificate(
      { caller, request },
      { authority, directory: { trustDomain: mesh.trustDomain, identitiesOnNode }, log },
    );
  }

  async syncWorkloads(caller: Caller, request: SyncWorkloadsRequest): Promise<SyncWorkloadsResponse> {
    return create(SyncWorkloadsResponseSchema, { uids: await this.#registry.sync(caller, request) });
  }

  /** The one way by which anything changes. Certificates first: a client that learns of a workload may ask for one at once. */
  #apply(change: IndexChange): IndexDelta {
    const { index, source, allocations } = this.#options;
    const delta = index.apply(change);
    this.#identities.apply(delta.mesh.workloads);
    this.#discovery.publish(delta);
    this.waypoints?.change(delta.gateways);
    this.#findings.takeProblems(delta.problems);
    if (delta.conditions.size > 0) source.reportConditions(delta.conditions);
    if (delta.allocations !== null) allocations.keep(delta.allocations);
    return delta;
  }

  /** A person who edits sees each finding once in the log, when it appears; the status page has them all. */
  #tellFindings(): void {
    const { log } = this.#options;
    for (const finding of this.#findings.news()) {
      const level = finding.severity === 'error' ? 'error' : 'warn';
      log[level]({ code: finding.code, ...placeInLog(finding.origin) }, formatFinding(finding));
    }
  }
}

/** The fields by which a log is searched: `file` and `line`, or `object`. */
function placeInLog(origin: Origin): Record<string, unknown> {
  return origin.kind === 'file' ? { file: origin.file, line: origin.line } : { object: formatOrigin(origin) };
}
