import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { type Connection, decideL4, policiesFor } from '#model/policy/l4.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';

/** One connection that the agent itself carries to a workload of this node. */
export type CarriedConnection = {
  connection: Connection;
  destinationUid: string;
  /** Cuts both sides. */
  abort(why: Refusal): void;
};

/** Inbound connections carried by the agent, so that a new policy can close them (docs/rules/node-proxy.md). */
export class CarriedConnections {
  readonly #open = new Set<CarriedConnection>();

  get size(): number {
    return this.#open.size;
  }

  /** Registers before the first check, so that no change can slip in between; call the result when it ends. */
  add(carried: CarriedConnection): () => void {
    this.#open.add(carried);
    return () => this.#open.delete(carried);
  }

  /**
   * Evaluates with the present policies and the workload's record; `recordOf`: null when the workload is not enrolled any
   * more, whose connections are cut by `closeTo`.
   */
  closeDenied(mesh: MeshState, recordOf: (uid: string) => Workload | null): number {
    let closed = 0;
    for (const carried of this.#open) {
      const destination = recordOf(carried.destinationUid);
      if (destination === null) continue;
      const decision = decideL4(policiesFor(mesh, destination), carried.connection);
      if (decision.allowed) continue;
      closed++;
      const why = `connection closed due to policy change: ${decision.reason}`;
      carried.abort(new Refusal('policy-change', why, decision));
    }
    return closed;
  }

  /** A workload left: its connections are cut (B56). */
  closeTo(destinationUid: string): void {
    for (const carried of this.#open) {
      if (carried.destinationUid === destinationUid) carried.abort(new Refusal('workload-left', 'the workload left the mesh'));
    }
  }
}
