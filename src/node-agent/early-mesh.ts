import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Answers } from '#protocol/xds/client-session.ts';
import type { MeshSubscription } from './follow-mesh.ts';

/**
 * What the control plane tells an agent that does not have its node yet. It is kept as one change, and acknowledged only when the
 * agent has put it in force: until then nobody may rely on it. From `open` on everything is passed on as it comes.
 */
export class EarlyMesh implements MeshSubscription {
  readonly #inForce = Promise.withResolvers<void>();
  #kept = nothing();
  #connected = false;
  #synced = false;
  #to: MeshSubscription | null = null;

  constructor() {
    this.#inForce.promise.catch(() => {}); // whoever waits for it hears of a failure; nobody has to wait
  }

  onMesh(delta: MeshDelta, told: Answers): Promise<void> {
    if (this.#to !== null) return this.#to.onMesh(delta, told);
    const { workloads, services, policies, answers } = this.#kept;
    this.#kept = {
      workloads: new Map([...workloads, ...delta.workloads]),
      services: new Map([...services, ...delta.services]),
      policies: new Map([...policies, ...delta.policies]),
      answers: new Map([...answers, ...told]),
    };
    return this.#inForce.promise;
  }

  onConnected(): void {
    if (this.#to === null) this.#connected = true;
    else this.#to.onConnected();
  }

  onSynced(): void {
    if (this.#to === null) this.#synced = true;
    else this.#to.onSynced();
  }

  /** The agent has its node: it is told what was kept, and hears everything else by itself. Errors: those of putting it in force. */
  open(to: MeshSubscription): void {
    this.#to = to;
    if (this.#connected) to.onConnected();
    const { answers, ...delta } = this.#kept;
    this.#kept = nothing();
    to.onMesh(delta, answers).then(this.#inForce.resolve, this.#inForce.reject);
    if (this.#synced) to.onSynced();
  }
}

function nothing(): MeshDelta & { answers: Answers } {
  return { workloads: new Map(), services: new Map(), policies: new Map(), answers: new Map() };
}
