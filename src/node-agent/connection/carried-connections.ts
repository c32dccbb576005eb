import type { IpAddress } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { evaluate, policiesFor } from '#model/policy/evaluate.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';

/** One connection that the agent itself carries to a workload of this node. */
export type CarriedConnection = {
  source: Identity | null;
  sourceIp: IpAddress;
  destinationUid: string;
  destinationIp: IpAddress;
  destinationPort: number;
  /** Cuts both sides. */
  abort(why: Refusal): void;
};

/** Inbound connections carried by the agent, so that a new policy can close them (spec node-proxy 5.5). */
export class CarriedConnections {
  readonly #open = new Set<CarriedConnection>();

  get size(): number {
    return this.#open.size;
  }

  /** Registers before the first check, so that no change can slip in between; call the result when it ends. */
  add(connection: CarriedConnection): () => void {
    this.#open.add(connection);
    return () => this.#open.delete(connection);
  }

  /** Evaluates with the present policies and the workload's present record. */
  closeDenied(mesh: MeshState): number {
    let closed = 0;
    for (const connection of this.#open) {
      const destination = mesh.workload(connection.destinationUid);
      if (destination === null) continue;
      const decision = evaluate(policiesFor(mesh, destination), connection);
      if (decision.allowed) continue;
      closed++;
      const why = `connection closed due to policy change: ${decision.reason}`;
      connection.abort(new Refusal('policy-change', why, decision));
    }
    return closed;
  }

  /** A workload left: its connections are cut (B56). */
  closeTo(destinationUid: string): void {
    for (const connection of this.#open) {
      if (connection.destinationUid === destinationUid)
        connection.abort(new Refusal('workload-left', 'the workload left the mesh'));
    }
  }
}
