import { isDeepStrictEqual } from 'node:util';
import type { Caller } from '#control-plane/authentication/authenticator.ts';
import { parseRegistration, readWorkloads } from '#control-plane/registry/registration.ts';
import type { Log } from '#model/effects/log.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import type { SyncWorkloadsRequest } from '#proto/weft_pb.js';
import { RpcError } from '#protocol/xds/resource-fault.ts';

const PREFIX = 'registry/';

/** What a registry needs of its surroundings. */
export type NodeRegistryOptions = {
  store: StateStore;
  log: Log;
  /** Makes the workloads of a node part of the mesh; done when it returns. */
  apply: (nodes: ReadonlyMap<string, readonly RegisteredWorkload[]>) => void;
  uidOf: (workload: RegisteredWorkload) => string;
  /** Whether the agent of a node is there to speak for it. */
  isConnected: (node: string) => boolean;
};

/**
 * Workloads that only the nodes know of (those of `weft run`). Kept in the store, so that after a restart the mesh is
 * whole before its agents are back; workloads of a node that went away stay until it or its successor says otherwise.
 */
export class NodeRegistry {
  readonly #options: NodeRegistryOptions;
  readonly #nodes = new Map<string, readonly RegisteredWorkload[]>();
  #writing: Promise<void> = Promise.resolve();
  #problem: string | null = null;

  constructor(options: NodeRegistryOptions) {
    this.#options = options;
  }

  /** Brings back what was registered before the last stop; the caller makes it part of the mesh. Errors: WEFT_STATE_DIR. */
  async load(): Promise<ReadonlyMap<string, readonly RegisteredWorkload[]>> {
    const { store, log } = this.#options;
    for (const name of await store.list(PREFIX)) {
      const workloads = parseRegistration((await store.read(name)) ?? '');
      if (workloads === null) log.warn({ file: name }, 'registered workloads cannot be read; their agent will report them again');
      else if (workloads.length > 0) this.#nodes.set(workloads[0]?.node ?? '', workloads);
    }
    return this.#nodes;
  }

  /**
   * Replaces the workloads of the caller's node and returns their uids in the order of the request.
   * Errors: RpcError permission-denied for a node the token is not bound to; invalid-argument for a workload that cannot be
   * used, or that another connected node runs under the same name. Nothing changes then.
   */
  async sync(caller: Caller, request: SyncWorkloadsRequest): Promise<string[]> {
    const { node } = request;
    if (caller.node === null || caller.node !== node)
      throw new RpcError('permission-denied', `the token is not for node "${node}"`);
    const workloads = readWorkloads(request);
    const displaced = this.#takeOver(node, workloads);
    if (displaced.size > 0 || !isDeepStrictEqual(this.#nodes.get(node) ?? [], workloads)) {
      const changed = new Map([...displaced, [node, workloads]]);
      for (const [name, list] of changed) this.#nodes.set(name, list);
      this.#options.apply(changed);
      await this.#keep([...changed.keys()]);
    }
    return workloads.map(this.#options.uidOf);
  }

  /** Registered workloads by node. */
  nodes(): ReadonlyMap<string, readonly RegisteredWorkload[]> {
    return this.#nodes;
  }

  /** Why the registrations could not be kept, or null. */
  problem(): string | null {
    return this.#problem;
  }

  /** What other nodes are left with when `node` now runs `workloads`: a name moves only away from a node that is gone. */
  #takeOver(node: string, workloads: readonly RegisteredWorkload[]): Map<string, readonly RegisteredWorkload[]> {
    const names = new Set(workloads.map(nameOf));
    const left = new Map<string, readonly RegisteredWorkload[]>();
    for (const [other, theirs] of this.#nodes) {
      if (other === node) continue;
      const [taken] = theirs.filter((workload) => names.has(nameOf(workload)));
      if (taken === undefined) continue;
      if (this.#options.isConnected(other))
        throw new RpcError('invalid-argument', `${nameOf(taken)} already runs on node "${other}"`);
      left.set(
        other,
        theirs.filter((workload) => !names.has(nameOf(workload))),
      );
    }
    return left;
  }

  async #keep(nodes: readonly string[]): Promise<void> {
    const { store, log } = this.#options;
    // One after the other, so that the last state is the one that stays.
    this.#writing = this.#writing.then(async () => {
      try {
        for (const node of nodes) {
          await store.write(`${PREFIX}${encodeURIComponent(node)}.json`, JSON.stringify(this.#nodes.get(node) ?? []), {
            secret: false,
          });
        }
        this.#problem = null;
      } catch (error) {
        // The mesh goes on with what is in memory: a full disk must not keep workloads from starting.
        this.#problem = error instanceof Error ? error.message : String(error);
        log.error(
          { nodes, err: error },
          'registered workloads are not kept: after a restart they are missing until their agent reconnects',
        );
      }
    });
    await this.#writing;
  }
}

function nameOf({ namespace, name }: RegisteredWorkload): string {
  return `${namespace}/${name}`;
}
