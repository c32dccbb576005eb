import type { TokenIssuer } from '#control-plane/authentication/authenticator.ts';
import { REVOCATIONS_NAME } from '#control-plane/authentication/tokens.ts';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { concernsRoots } from '#control-plane/ca/kept-roots.ts';
import type { IndexChange } from '#control-plane/index/index-delta.ts';
import type { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { ALLOCATIONS_NAME, type KeptAllocations } from '#control-plane/kept-allocations.ts';
import type { AddressPools } from '#control-plane/registry/address-pools.ts';
import { type NodeRegistry, REGISTRY_PREFIX } from '#control-plane/registry/node-registry.ts';
import type { Source } from '#control-plane/sources/source.ts';
import type { WaypointKeeper } from '#control-plane/waypoints/plan.ts';
import type { Log } from '#model/effects/log.ts';
import type { Replica, ReplicaListener } from '#model/effects/replica.ts';
import type { Soon } from '#model/effects/work.ts';

/** What of a control plane depends on whether it leads. */
export type FollowingOptions = {
  registry: NodeRegistry;
  tokens: TokenIssuer;
  allocations: KeptAllocations;
  pools: AddressPools;
  index: MeshIndex;
  authority: CertificateAuthority;
  source: Source;
  waypoints: WaypointKeeper | null;
  log: Log;
  putInForce(change: IndexChange): Soon<void>;
  /** Resolves when all that was told before is in force. */
  settled(): Promise<void>;
  /** The tokens of a node are revoked. */
  revoked(node: string): void;
};

/** Follows what the other replicas do, of whom one leads. Resolves when everything there is has been told. */
export function followOthers(replica: Replica, options: FollowingOptions, guests: ReplicaListener['guests']): Promise<void> {
  return replica.follow({
    state: (changes) => {
      if (!replica.leads()) followState(options, changes); // else they are its own words
    },
    guests,
    leads: (leads) => takeLead(options, leads),
  });
}

/** Puts in force what the replica that leads has written: registered workloads, addresses of services, revoked tokens. */
function followState(options: FollowingOptions, changes: ReadonlyMap<string, string | null>): void {
  const { registry, allocations, tokens, revoked, log } = options;
  const registered = new Map([...changes].filter(([name]) => name.startsWith(REGISTRY_PREFIX)));
  const addresses = changes.get(ALLOCATIONS_NAME);
  const revocations = changes.get(REVOCATIONS_NAME);
  if (revocations !== undefined) tokens.follow?.(revocations).forEach(revoked);
  if (concernsRoots(changes.keys()))
    options.authority.followRoots().catch((error: unknown) => log.error({ err: error }, 'roots of the leader are not in force'));
  if (registered.size === 0 && addresses === undefined) return;
  const given = addresses === undefined ? {} : { allocations: allocations.read(addresses) };
  const inForce = Promise.resolve(options.putInForce({ nodes: registry.adopt(registered), ...given }));
  inForce.catch((error: unknown) => log.error({ err: error }, 'what another control plane wrote is not in force'));
}

/** Begins to write, and to look after waypoints; or ends both. */
function takeLead(options: FollowingOptions, leads: boolean): void {
  const { source, pools, allocations, index, waypoints, log, settled } = options;
  source.lead?.(leads);
  if (!leads) {
    waypoints?.stop().catch((error: unknown) => log.error({ err: error }, 'waypoints are still looked after'));
    return;
  }
  pools.reload().catch((error: unknown) => log.error({ err: error }, 'address pools cannot be read'));
  settled()
    .then(() => allocations.keep(index.allocations()))
    .catch((error: unknown) => log.error({ err: error }, 'service addresses are not kept'));
  waypoints?.start();
}
