import { sameIdentity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type GatewayAddress, type Service, serviceKeyOf } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { type Connection, decideL4, isUndecided, policiesFor } from '#model/policy/l4.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';

/** The right of connections that the agent carries to a workload of this node, all by one answer. */
export type CarriedConnection = {
  connection: Connection;
  destinationUid: string;
  /** Cuts all that go by it. */
  abort(why: Refusal): void;
};

/** The right of connections that the agent carries from a workload of this node through a tunnel, all by one answer. */
export type OutgoingConnection = {
  /** What policies of the destination see of it; null where it goes to a waypoint, which judges by its own. */
  connection: Connection | null;
  /** Whom the tunnel was opened to: the destination, or an instance of the waypoint. */
  peer: Workload;
  /** What was dialled: it decides whether the tunnel still is the way there. */
  dialled: Connection['destinationIp'];
  service: Service | null;
  /** The waypoint that the tunnel leads to; null: it leads to the destination itself. */
  waypoint: GatewayAddress | null;
  abort(why: Refusal): void;
};

/**
 * Connections carried by the agent, so that whatever ends the right to one closes it on both ends (docs/rules/node-proxy.md):
 * the other node may be slow to learn of a policy, or may be one that does not close what it once let in.
 */
export class CarriedConnections {
  readonly #open = new Set<CarriedConnection>();
  readonly #outgoing = new Set<OutgoingConnection>();

  /** To be called in the turn in which it was judged, so that no change can slip in between; and the result when it ends. */
  add(carried: CarriedConnection): () => void {
    this.#open.add(carried);
    return () => this.#open.delete(carried);
  }

  /** The same at the source. */
  addOutgoing(carried: OutgoingConnection): () => void {
    this.#outgoing.add(carried);
    return () => this.#outgoing.delete(carried);
  }

  /**
   * Evaluates with the present policies and the workload's record; `recordOf`: null when the workload is not enrolled any
   * more, whose connections are cut by whoever carries them.
   */
  closeDenied(mesh: MeshState, recordOf: (uid: string) => Workload | null): number {
    let closed = 0;
    for (const carried of this.#open) {
      const destination = recordOf(carried.destinationUid);
      const why = destination === null ? null : whyDenied(mesh, destination, carried.connection);
      if (why === null) continue;
      closed++;
      carried.abort(why);
    }
    for (const carried of this.#outgoing) {
      const why = whyEnded(mesh, carried);
      if (why === null) continue;
      closed++;
      carried.abort(why);
    }
    return closed;
  }
}

function whyDenied(mesh: MeshState, destination: Workload, connection: Connection): Refusal | null {
  const policies = policiesFor(mesh, destination);
  const decision = decideL4(policies, connection);
  if (decision.allowed || isUndecided(policies, decision)) return null;
  return new Refusal('policy-change', `connection closed due to policy change: ${decision.reason}`, decision);
}

/** Why a tunnel that was opened from here may carry this no longer; null: it may, as far as the mesh tells. */
function whyEnded(mesh: MeshState, { connection, peer, dialled, service, waypoint }: OutgoingConnection): Refusal | null {
  const now = mesh.workload(peer.uid);
  // One that left the mesh ends by itself: its node cuts what it carries to it.
  if (now === null) return null;
  if (!sameIdentity(identityOf(now), identityOf(peer))) {
    const who = now.serviceAccount;
    return new Refusal('identity-change', `${peer.name} has another identity now: service account ${who}`);
  }
  const denied = connection === null ? null : whyDenied(mesh, now, connection);
  if (denied !== null) return denied;
  if (waypoint === null) return null;
  const bound = service === null ? mesh.workloadByIp(dialled) : mesh.service(serviceKeyOf(service));
  // A former waypoint is no longer the way: nobody judges there by what is in force.
  if (bound === null || JSON.stringify(bound.waypoint) === JSON.stringify(waypoint)) return null;
  return new Refusal('waypoint-change', 'the destination is bound to another waypoint now');
}
