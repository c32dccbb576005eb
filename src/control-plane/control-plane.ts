import { create } from '@bufbuild/protobuf';
import type { Caller } from '#control-plane/authentication/caller.ts';
import { bearerToken, type TokenAuthority } from '#control-plane/authentication/tokens.ts';
import { DiscoveryServer } from '#control-plane/discovery/discovery-server.ts';
import { ResourceStore } from '#control-plane/discovery/resource-store.ts';
import { FindingsBoard } from '#control-plane/findings-board.ts';
import { registeredUid } from '#control-plane/index/endpoint.ts';
import type { Condition, IndexChange, IndexDelta } from '#control-plane/index/index-delta.ts';
import type { MeshIndex } from '#control-plane/index/mesh-index.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { NodeRegistry } from '#control-plane/registry/node-registry.ts';
import { type Finding, formatFinding, formatOrigin } from '#control-plane/resources/finding.ts';
import type { StateStore } from '#control-plane/state-store.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { IstioCertificateRequest, IstioCertificateResponse } from '#proto/ca_pb.js';
import { type SyncWorkloadsRequest, type SyncWorkloadsResponse, SyncWorkloadsResponseSchema } from '#proto/weft_pb.js';
import type { Origin } from '#protocol/api/control.ts';
import type { DiscoveryListener, DiscoveryStream } from '#protocol/xds/discovery-stream.ts';
import type { CertificateAuthority } from './ca/authority.ts';
import { createCertificate } from './ca/create-certificate.ts';
import { NodeIdentities } from './ca/node-identities.ts';
import type { DirectorySource, FileSnapshot } from './sources/directory/directory-source.ts';
import type { WaypointRunner } from './waypoints/runner.ts';
import { WaypointController } from './waypoints/waypoint-controller.ts';

/** Where allocated service addresses are kept, as JSON of src/control-plane/index/vip-allocator.ts. */
export const ALLOCATIONS_NAME = 'allocations.json';
/** Service account of every agent, in the root namespace. */
const AGENT_ACCOUNT = 'weft-agent';

/** What a control plane is made of. */
export type ControlPlaneOptions = {
  index: MeshIndex;
  source: DirectorySource;
  mesh: MeshOptions;
  state: StateStore;
  authority: CertificateAuthority;
  tokens: TokenAuthority;
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
  readonly discovery: DiscoveryServer;
  readonly registry: NodeRegistry;
  readonly waypoints: WaypointController | null;
  readonly store: ResourceStore;
  readonly #options: ControlPlaneOptions;
  readonly #findings = new FindingsBoard();
  readonly #identities = new NodeIdentities();
  #allocationsProblem: string | null = null;

  constructor(options: ControlPlaneOptions) {
    const { clock, log, newNonce, state, runner, mesh } = options;
    this.#options = options;
    this.store = new ResourceStore(clock.nowMs());
    this.discovery = new DiscoveryServer({ store: this.store, clock, log, newNonce });
    this.registry = new NodeRegistry({
      store: state,
      log,
      uidOf: (workload) => registeredUid(workload, mesh),
      apply: (nodes) => {
        if (this.#apply({ nodes }).problems.size > 0) this.#tellFindings();
      },
      isConnected: (node) => this.discovery.isConnected(node),
    });
    const mintToken = async ({ namespace, serviceAccount }: { namespace: string; serviceAccount: string }) =>
      options.tokens.mint({ namespace, serviceAccount, node: null }, CERTIFICATE.waypointTokenMs);
    this.waypoints = runner === null ? null : new WaypointController({ runner, mintToken, clock, log });
  }

  /**
   * Takes the first configuration together with what nodes registered before the last stop, so that what is served from
   * now on is whole: nobody must be told that a workload is gone because its agent has not reconnected yet (C15).
   * Errors: WEFT_STATE_DIR.
   */
  async begin(snapshot: FileSnapshot): Promise<void> {
    const nodes = await this.registry.load();
    const { upserted, removed, findings } = this.#options.source.apply(snapshot);
    this.#findings.takeFiles(findings);
    this.#apply({ upserted, removed, nodes });
    this.#tellFindings();
  }

  /** Takes the configuration directory's content, new or changed; what is wrong with it goes to the log and the findings. */
  applyFiles(snapshot: FileSnapshot): void {
    const { upserted, removed, findings } = this.#options.source.apply(snapshot);
    this.#findings.takeFiles(findings);
    this.#apply({ upserted, removed });
    this.#tellFindings();
  }

  /** A token for the agent of `node`. */
  async mintAgentToken(node: string, ttlMs = CERTIFICATE.agentTokenMs): Promise<string> {
    return this.#options.tokens.mint({ namespace: this.#options.mesh.rootNamespace, serviceAccount: AGENT_ACCOUNT, node }, ttlMs);
  }

  /** Milliseconds an agent's token lasts when nobody says otherwise. */
  get agentTokenMs(): number {
    return CERTIFICATE.agentTokenMs;
  }

  /** Everything wrong with the configuration now, in order of place. */
  findings(): Finding[] {
    return this.#findings.all((problems) => this.#options.source.locate(problems));
  }

  /** The conditions that resources have now. */
  conditions(): Condition[] {
    return [...this.#options.index.snapshot().conditions.values()].flat();
  }

  /** What could not be kept for the next start, one sentence each. */
  problems(): string[] {
    return [this.registry.problem(), this.#allocationsProblem].filter((problem) => problem !== null);
  }

  // The handlers of src/platform/grpc/server.ts:

  async authenticate(authorizationHeader: string | undefined): Promise<Caller> {
    return this.#options.tokens.verify(bearerToken(authorizationHeader));
  }

  discover(caller: Caller, stream: DiscoveryStream): DiscoveryListener {
    return this.discovery.open(caller, stream);
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
    return create(SyncWorkloadsResponseSchema, { uids: await this.registry.sync(caller, request) });
  }

  #apply(change: IndexChange): IndexDelta {
    const delta = this.#options.index.apply(change);
    this.#identities.apply(delta.mesh.workloads);
    this.discovery.publish(delta);
    this.waypoints?.change(delta.gateways);
    this.#findings.takeProblems(delta.problems);
    if (delta.allocations !== null) void this.#keepAllocations(delta.allocations);
    return delta;
  }

  #tellFindings(): void {
    const { source, log } = this.#options;
    for (const finding of this.#findings.news((problems) => source.locate(problems))) {
      const level = finding.severity === 'error' ? 'error' : 'warn';
      log[level]({ code: finding.code, ...placeInLog(finding.origin) }, formatFinding(finding));
    }
  }

  async #keepAllocations(allocations: NonNullable<IndexDelta['allocations']>): Promise<void> {
    try {
      await this.#options.state.write(ALLOCATIONS_NAME, JSON.stringify(Object.fromEntries(allocations)), { secret: false });
      this.#allocationsProblem = null;
    } catch (error) {
      this.#allocationsProblem = error instanceof Error ? error.message : String(error);
      this.#options.log.error({ err: error }, 'service addresses are not kept');
    }
  }
}

/** The fields by which a log is searched: `file` and `line`, or `object`. */
function placeInLog(origin: Origin): Record<string, unknown> {
  return origin.kind === 'file' ? { file: origin.file, line: origin.line } : { object: formatOrigin(origin) };
}
