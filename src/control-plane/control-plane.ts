import { create } from '@bufbuild/protobuf';
import { AgentTokens } from '#control-plane/agent-tokens.ts';
import type { Authenticator, Caller, CallOrigin, TokenIssuer } from '#control-plane/authentication/authenticator.ts';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { createCertificate } from '#control-plane/ca/create-certificate.ts';
import { DiscoveryServer } from '#control-plane/discovery/discovery-server.ts';
import { ResourceStore } from '#control-plane/discovery/resource-store.ts';
import { followOthers } from '#control-plane/following.ts';
import type { IndexChange } from '#control-plane/index/index-delta.ts';
import type { MeshIndex } from '#control-plane/index/mesh-index.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { KeptState } from '#control-plane/kept/kept-state.ts';
import type { KeptAllocations } from '#control-plane/kept-allocations.ts';
import { registeredUid } from '#control-plane/mesh/registered-endpoints.ts';
import { LABEL } from '#control-plane/mesh/well-known.ts';
import { MeshChanges } from '#control-plane/mesh-changes.ts';
import { QuickStart, startSource } from '#control-plane/quick-start.ts';
import type { AddressPools } from '#control-plane/registry/address-pools.ts';
import { NodeRegistry } from '#control-plane/registry/node-registry.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import type { Source, SourceSink } from '#control-plane/sources/source.ts';
import { controlStatus, type StatusFrame } from '#control-plane/status/control-status.ts';
import { FindingsBoard } from '#control-plane/status/findings-board.ts';
import type { WaypointKeeper, WaypointRunner } from '#control-plane/waypoints/plan.ts';
import { WaypointController } from '#control-plane/waypoints/waypoint-controller.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { isNotLeader, notLeader, type Replica, SOLE_REPLICA } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { messageOf } from '#model/error.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { Reserved } from '#model/trust/grant.ts';
import type { ControlRefusal } from '#model/trust/refusal.ts';
import type { IstioCertificateRequest, IstioCertificateResponse } from '#proto/ca_pb.js';
import { type SyncWorkloadsRequest, type SyncWorkloadsResponse, SyncWorkloadsResponseSchema } from '#proto/weft_pb.js';
import type { ControlStatus } from '#protocol/api/control.ts';
import { asRpcError, RpcError } from '#protocol/xds/resource-fault.ts';
import type { DiscoveryListener, DiscoveryStream } from '#protocol/xds/server-session.ts';

/** For a client that was turned away. */
const NOBODY: DiscoveryListener = { receive() {}, drained() {}, closed() {} };

/** What a control plane is made of. */
export type ControlPlaneOptions = {
  index: MeshIndex;
  source: Source;
  mesh: MeshOptions;
  state: StateStore;
  allocations: KeptAllocations;
  /** null: every start derives everything before it serves. */
  kept: KeptState | null;
  pools: AddressPools;
  authority: CertificateAuthority;
  authenticator: Authenticator;
  /** Makes what `authenticator` accepts. */
  tokens: TokenIssuer;
  /** Starts waypoints here; null, and no `keeper`: Gateways get none. */
  runner: WaypointRunner | null;
  keeper?: WaypointKeeper | null;
  /** One of several; absent: there are no others. */
  replica?: Replica;
  clock: Clock;
  log: Log;
  meters: Meters;
  newNonce: () => string;
};

/**
 * Everything the control plane is, without the sockets and files: configuration and registrations go in, and a change is in force at
 * the clients within the same turn, or where it touches much, after several with turns of clients between: all of it at once.
 */
export class ControlPlane {
  readonly waypoints: WaypointKeeper | null;
  /** Makes the tokens of agents; to revoke some, see `revokeAgentTokens`. */
  readonly agentTokens: AgentTokens;
  readonly #options: ControlPlaneOptions;
  readonly #store: ResourceStore;
  readonly #discovery: DiscoveryServer;
  readonly #registry: NodeRegistry;
  readonly #findings: FindingsBoard;
  readonly #changes: MeshChanges;
  readonly #quickStart: QuickStart | null;
  readonly #reserved: Reserved;
  readonly #replica: Replica;
  readonly #begun = Promise.withResolvers<void>();

  constructor(options: ControlPlaneOptions) {
    const { clock, log, newNonce, source, state, runner, mesh, tokens } = options;
    this.#options = options;
    this.#replica = options.replica ?? SOLE_REPLICA;
    this.#store = new ResourceStore(clock.nowMs());
    this.#discovery = new DiscoveryServer({
      ...{ store: this.#store, clock, log, newNonce },
      announce: (node, guests) => this.#replica.announce(node, guests),
    });
    this.#findings = new FindingsBoard(source, mesh.trustDomain);
    const { rootNamespace } = mesh;
    this.agentTokens = new AgentTokens({ tokens, pools: options.pools, rootNamespace, clock });
    this.#reserved = { rootNamespace, isWaypoint: (account) => this.#changes.isWaypoint(account) };
    this.#registry = new NodeRegistry({
      store: state,
      log,
      uidOf: (workload) => registeredUid(workload, mesh),
      apply: (nodes) => this.#changes.putInForce({ nodes }),
      isAlive: (node) => this.#discovery.presence.isAlive(node),
      world: {
        reserved: this.#reserved,
        waypointLabel: LABEL.gatewayName,
        serviceAt: (ip) => this.#changes.addresses.serviceAt(ip),
        configuredAt: (ip) => this.#changes.addresses.configuredAt(ip),
        nodeAt: (ip) => this.#discovery.presence.nodeAt(ip),
      },
      onRefusal: (node, { workload, cause, message, remedy }) => {
        this.#count(cause);
        log.warn(
          { node, workload: `${workload.namespace}/${workload.name}`, why: cause, problem: message, remedy },
          'workload refused',
        );
      },
    });
    const mintToken = ({ namespace, serviceAccount }: { namespace: string; serviceAccount: string }) =>
      tokens.mint({ namespace, serviceAccount, node: null, grant: null }, CERTIFICATE.waypointTokenMs);
    this.waypoints = options.keeper ?? (runner === null ? null : new WaypointController({ runner, mintToken, clock, log }));
    const { index, allocations, kept } = options;
    this.#quickStart =
      kept === null ? null : new QuickStart({ kept, store: this.#store, registry: this.#registry, source, clock, log });
    const [discovery, findings, waypoints] = [this.#discovery, this.#findings, this.waypoints];
    const onChanged = () => this.#quickStart?.keep(this.#changes);
    const reached = { index, source, mesh, allocations, discovery, findings, waypoints, onChanged };
    this.#changes = new MeshChanges({ ...reached, keepsAllocations: () => this.#replica.leads(), clock, log });
  }

  /**
   * Takes the first configuration together with what nodes registered before the last stop, then follows its source. What is
   * served from now on is whole: nobody must be told that a workload is gone because its agent has not reconnected yet (C15).
   * Errors: WEFT_STATE_DIR, and those of the source.
   */
  async begin(): Promise<void> {
    const { source, log } = this.#options;
    source.lead?.(this.#replica.leads());
    await this.#registry.load();
    let isFirst = true;
    const change: SourceSink['change'] = (told) => {
      if (!isFirst) return this.#changes.putInForce(told);
      isFirst = false;
      // What nodes registered is judged by the configuration, as it would be if they told it now.
      return this.#changes.putFirstInForce(told, () => this.#registry.admitLoaded(this.#replica.leads()));
    };
    await startSource(source, change, this.#quickStart, log, () => {
      this.#begun.resolve();
      return this.#followOthers();
    });
  }

  /** Resolves when the configuration is in force; what was in force before a restart may be served before that. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  #followOthers(): Promise<void> {
    const settled = () => this.#changes.settled();
    const revoked = (node: string) => this.#endRevoked(node);
    const putInForce = (change: IndexChange) => this.#changes.putInForce(change);
    const parts = { ...this.#options, registry: this.#registry, waypoints: this.waypoints, putInForce, settled, revoked };
    return followOthers(this.#replica, parts, (changes) => this.#discovery.presence.follow(changes));
  }

  /** Ends every client's stream so that it tries again, here or at another replica. */
  endStreams(): void {
    this.#discovery.close();
  }

  /** Resolves when every change that was told is in force, or could not be. */
  async settled(): Promise<void> {
    await this.begun;
    await this.#changes.settled();
  }

  /** Resolves when all that is to be kept is. */
  async close(): Promise<void> {
    const { source, allocations, kept } = this.#options;
    await source.stop();
    await allocations.settled();
    await kept?.settled();
  }

  /**
   * Every token of a node that was made until now is worth nothing: its streams end, and it cannot come back with one.
   * `freeAddresses`: it is gone for good, so other nodes may be given what it had.
   */
  async revokeAgentTokens(node: string, freeAddresses = false): Promise<void> {
    await this.agentTokens.revoke(node, freeAddresses);
    this.#endRevoked(node);
  }

  /** Everything wrong with the configuration now, in order of place. */
  findings(): Finding[] {
    return this.#findings.now();
  }

  /** The status page. */
  status(frame: StatusFrame): ControlStatus {
    const { source, allocations } = this.#options;
    return controlStatus({
      frame,
      replica: this.#replica.status(),
      resources: this.#store.counts(),
      connections: this.#discovery.connections(),
      registered: this.#registry.nodes(),
      waypoints: this.waypoints?.states() ?? [],
      findings: this.#findings.now(),
      conditions: source.conditions(),
      rivals: this.#discovery.presence.rivals(),
      problems: [
        this.#findings.unlisted(),
        this.#options.kept?.problem() ?? null,
        this.#registry.problem(),
        allocations.problem(),
        ...source.problems(),
        ...this.#registry.refusals(),
      ].filter((problem) => problem !== null),
    });
  }

  // The handlers of src/platform/grpc/server.ts:

  /** Errors: RpcError unauthenticated; permission-denied for a node's token that comes from elsewhere than the node. */
  async authenticate(authorizationHeader: string | undefined, origin: CallOrigin): Promise<Caller> {
    const { authenticator } = this.#options;
    const proof = await authenticator.authenticate(authorizationHeader).catch((error: unknown) => {
      this.#count('unauthenticated');
      throw error;
    });
    const caller = { ...proof, origin };
    this.#requireOneMachine(caller);
    return caller;
  }

  discover(caller: Caller, stream: DiscoveryStream): DiscoveryListener {
    try {
      this.#requireOneMachine(caller); // once more: of two that came together both were alone when they were authenticated
    } catch (error) {
      stream.end(asRpcError(error));
      return NOBODY;
    }
    if (this.#replica.leads())
      this.begun
        .then(() => this.#registry.recheck(caller))
        .catch((error: unknown) => this.#options.log.error({ err: error }, 'registrations not judged again'));
    return this.#discovery.open(caller, stream);
  }

  async createCertificate(caller: Caller, request: IstioCertificateRequest): Promise<IstioCertificateResponse> {
    const { mesh, authority, log } = this.#options;
    await this.begun;
    const directory = { trustDomain: mesh.trustDomain, nodes: this.#changes.identities, reserved: this.#reserved };
    return createCertificate(
      { caller, request },
      {
        authority,
        directory,
        refused: () => this.#count('certificate'),
        log,
      },
    );
  }

  /** Errors: RpcError unavailable where another replica leads: the agent is to ask that one. */
  async syncWorkloads(caller: Caller, request: SyncWorkloadsRequest): Promise<SyncWorkloadsResponse> {
    if (caller.node !== request.node) this.#count('wrong-node');
    await this.begun;
    try {
      if (!this.#replica.leads()) throw notLeader(this.#replica.status()?.leader ?? null);
      return create(SyncWorkloadsResponseSchema, await this.#registry.sync(caller, request));
    } catch (error) {
      throw isNotLeader(error) ? new RpcError('unavailable', messageOf(error)) : error;
    }
  }

  #endRevoked(node: string): void {
    this.#discovery.endNode(node, new RpcError('unauthenticated', `the tokens of node "${node}" were revoked`));
    this.#options.log.warn({ node }, 'tokens revoked; certificates that the node holds are good until they end');
  }

  /** Errors: RpcError permission-denied. A copied token is the loudest thing that a control plane has to say. */
  #requireOneMachine(caller: Caller): void {
    const rival = this.#discovery.presence.rivalOf(caller);
    if (rival === null) return;
    this.#count('node-elsewhere');
    const message = `node "${caller.node}" is spoken for from ${rival}; its token was also used from ${caller.origin.ip}`;
    const remedy = 'if that is no move of the node itself, its token was stolen: weft token NODE --revoke, then make a new one';
    this.#options.log.error({ node: caller.node, peer: caller.origin.ip, remedy }, message);
    throw new RpcError('permission-denied', message);
  }

  #count(refusal: ControlRefusal): void {
    this.#options.meters.counter('weft_control_refusals_total', { refusal }).add();
  }
}
