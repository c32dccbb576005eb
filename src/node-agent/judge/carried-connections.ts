import type { Cancel, Clock } from '#model/effects/clock.ts';
import { sameIdentity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { type GatewayAddress, type Service, serviceKeyOf, waypointsOf } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { type Connection, decideL4, isUndecided, policiesFor } from '#model/policy/l4.ts';
import { AGENT } from '#model/settings/agents.ts';
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
  /** What those of an endpoint would see of it if it went there past every waypoint; null: it could not. */
  past(endpoint: Workload): Connection | null;
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
  /** Those through a waypoint that their destination has left: cut when their time is over, which ends that wait. */
  readonly #leaving = new Map<OutgoingConnection, Cancel>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called in the turn in which it was judged, so that no change can slip in between; and the result when it ends. */
  add(carried: CarriedConnection): () => void {
    this.#open.add(carried);
    return () => this.#open.delete(carried);
  }

  /** The same at the source. */
  addOutgoing(carried: OutgoingConnection): () => void {
    this.#outgoing.add(carried);
    return () => {
      this.#outgoing.delete(carried);
      this.#stays(carried);
    };
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
      if (why === null) this.#stays(carried);
      else if (why === 'left') this.#leaves(mesh, carried);
      else {
        closed++;
        carried.abort(why);
      }
    }
    return closed;
  }

  /** The former waypoint answers what is under way and ends the connection: it is given the time for that (F4). */
  #leaves(mesh: MeshState, carried: OutgoingConnection): void {
    if (this.#leaving.has(carried)) return;
    const cut = (): void => {
      this.#leaving.delete(carried);
      if (whyEnded(mesh, carried) === 'left') carried.abort(otherWaypoint());
    };
    this.#leaving.set(carried, this.#clock.after(AGENT.formerWaypointMs, cut));
  }

  #stays(carried: OutgoingConnection): void {
    this.#leaving.get(carried)?.();
    this.#leaving.delete(carried);
  }
}

function whyDenied(mesh: MeshState, destination: Workload, connection: Connection): Refusal | null {
  const policies = policiesFor(mesh, destination);
  const decision = decideL4(policies, connection);
  if (decision.allowed || isUndecided(policies, decision)) return null;
  return new Refusal('policy-change', `connection closed due to policy change: ${decision.reason}`, decision);
}

/**
 * Why a tunnel that was opened from here may carry this no longer; null: it may, as far as the mesh tells. `left`: its destination
 * left the waypoint and is bound to none, and policies of the destination would let it in past it.
 */
function whyEnded(mesh: MeshState, carried: OutgoingConnection): Refusal | 'left' | null {
  const { connection, peer, dialled, service, waypoint } = carried;
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
  const isSame = (one: GatewayAddress): boolean => JSON.stringify(one) === JSON.stringify(waypoint);
  if (bound === null || waypointsOf(bound).some(isSame)) return null;
  if (bound.waypoint !== null) return otherWaypoint();
  const endpoints = 'uid' in bound ? [bound] : mesh.endpoints(serviceKeyOf(bound));
  if (endpoints.length > AGENT.choicesMax) return otherWaypoint(); // it would take too long to ask the policies of all
  for (const endpoint of endpoints) {
    const past = carried.past(endpoint);
    const refused = past === null ? null : whyDenied(mesh, endpoint, past);
    if (refused !== null) return refused;
  }
  return 'left';
}

function otherWaypoint(): Refusal {
  return new Refusal('waypoint-change', 'the destination is bound to another waypoint now, or to none');
}
