import { isDeepStrictEqual } from 'node:util';
import type { Proof } from '#control-plane/authentication/authenticator.ts';
import { type AdmissionRefusal, type AdmissionWorld, admit, type Holders, nameOf } from '#control-plane/registry/admission.ts';
import { type KeptNode, parseRegistration, readWorkloads } from '#control-plane/registry/registration.ts';
import { digestOf, hashOf } from '#control-plane/resources/text-digest.ts';
import { tryParseIp } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { isNotLeader } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import type { Soon } from '#model/effects/work.ts';
import { messageOf } from '#model/error.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { coversAddress, NO_GRANT } from '#model/trust/grant.ts';
import type { SyncWorkloadsRequest } from '#proto/weft_pb.js';
import { RpcError } from '#protocol/xds/resource-fault.ts';

/** Where each node's workloads are kept. */
export const REGISTRY_PREFIX = 'registry/';

/** What a registry needs of its surroundings. */
export type NodeRegistryOptions = {
  store: StateStore;
  log: Log;
  /** Makes the workloads of a node part of the mesh. */
  apply: (nodes: ReadonlyMap<string, readonly RegisteredWorkload[]>) => Soon<void>;
  uidOf: (workload: RegisteredWorkload) => string;
  /** Whether the agent of a node is there to speak for it, or was a moment ago: what it holds is not taken over then. */
  isAlive: (node: string) => boolean;
  /** What the mesh knows beside what nodes register. */
  world: AdmissionWorld;
  /** Is told each refusal once, not again for as long as it stands. */
  onRefusal: (node: string, refusal: AdmissionRefusal) => void;
};

/** What a node is answered. */
export type SyncOutcome = {
  /** In the order of the request; also of those refused. */
  uids: string[];
  refused: { uid: string; cause: string; message: string; remedy: string }[];
};

/**
 * Workloads that only the nodes know of (those of `weft run`), as far as each node's token covers them. Kept in the store, so
 * that after a restart the mesh is whole before its agents are back; workloads of a node that went away stay until it or its
 * successor says otherwise.
 */
export class NodeRegistry {
  readonly #options: NodeRegistryOptions;
  readonly #kept = new Map<string, KeptNode>();
  /** What stands refused of each node, by message. */
  readonly #refused = new Map<string, ReadonlyMap<string, AdmissionRefusal>>();
  readonly #loaded: KeptNode[] = [];
  /** Node → hash of what is kept of it, or is about to be. */
  readonly #hashes = new Map<string, string>();
  #writing: Promise<void> = Promise.resolve();
  #problem: string | null = null;

  constructor(options: NodeRegistryOptions) {
    this.#options = options;
  }

  /** Reads what was registered before the last stop. Errors: WEFT_STATE_DIR. */
  async load(): Promise<void> {
    const { store, log } = this.#options;
    for (const name of await store.list(REGISTRY_PREFIX)) {
      const text = (await store.read(name)) ?? '';
      const kept = parseRegistration(text);
      if (kept !== null) this.#hashes.set(kept.node, hashOf(text));
      if (kept === null) log.warn({ file: name }, 'registered workloads cannot be read; their agent will report them again');
      else this.#loaded.push(kept);
    }
  }

  /**
   * Judges what was loaded like anything that a node tells, and returns what is to become part of the mesh. `judges` false: another replica has
   * done so, and all have to say the same.
   */
  admitLoaded(judges = true): ReadonlyMap<string, readonly RegisteredWorkload[]> {
    // One after the other: what two files claim stays with the first.
    for (const kept of this.#loaded.splice(0))
      this.#kept.set(kept.node, judges ? { ...kept, workloads: this.#judge(kept).admitted } : kept);
    return this.nodes();
  }

  /** Takes what the replica that leads has kept, by names of the store, and returns what is to become part of the mesh instead. */
  adopt(changes: ReadonlyMap<string, string | null>): ReadonlyMap<string, readonly RegisteredWorkload[]> {
    const changed = new Map<string, readonly RegisteredWorkload[]>();
    for (const [name, text] of changes) {
      const kept = text === null ? null : parseRegistration(text);
      const node = kept?.node ?? nodeOf(name);
      if (kept === null) this.#kept.delete(node);
      else this.#kept.set(node, kept);
      changed.set(node, kept?.workloads ?? []);
    }
    return changed;
  }

  /**
   * Replaces the workloads of the caller's node, as far as its token covers them and nobody else has what they claim.
   * Errors: RpcError permission-denied for a node the token is not bound to; invalid-argument for a request that makes no
   * sense. Nothing changes then. WEFT_NOT_LEADER when another replica has come to lead meanwhile.
   */
  async sync(caller: Proof, request: SyncWorkloadsRequest): Promise<SyncOutcome> {
    const { node } = request;
    if (caller.node === null || caller.node !== node) {
      this.#options.log.warn({ node: caller.node, requested: node }, 'registration refused: the token is not for that node');
      throw new RpcError('permission-denied', `the token is not for node "${node}"`);
    }
    const workloads = readWorkloads(request);
    const nodeAddresses = request.nodeAddresses.slice(0, CONTROL.nodeAddressesMax);
    const refused = await this.#take({ node, grant: caller.grant ?? NO_GRANT, nodeAddresses, workloads });
    return {
      uids: workloads.map(this.#options.uidOf),
      refused: refused.map(({ workload, ...why }) => ({ uid: this.#options.uidOf(workload), ...why })),
    };
  }

  /** Judges what a node has registered once more: it came with a token that may say less than the one before. */
  async recheck({ node, grant }: Pick<Proof, 'node' | 'grant'>): Promise<void> {
    const kept = node === null ? undefined : this.#kept.get(node);
    if (kept !== undefined && !isDeepStrictEqual(kept.grant, grant ?? NO_GRANT))
      await this.#take({ ...kept, grant: grant ?? NO_GRANT });
  }

  /** Registered workloads by node. */
  nodes(): ReadonlyMap<string, readonly RegisteredWorkload[]> {
    return new Map([...this.#kept].map(([node, { workloads }]) => [node, workloads]));
  }

  /** A word for what all nodes have registered, as it is kept: other registrations, another word. */
  digest(): string {
    return digestOf([...this.#hashes]);
  }

  #textOf(node: string): string {
    return JSON.stringify(this.#kept.get(node) ?? {});
  }

  /** What nodes asked for and did not get, one sentence each. */
  refusals(): string[] {
    return [...this.#refused]
      .flatMap(([node, list]) => [...list.keys()].map((message) => `node ${node} was refused: ${message}`))
      .slice(0, CONTROL.refusalsListedMax);
  }

  /** Why the registrations could not be kept, or null. */
  problem(): string | null {
    return this.#problem;
  }

  async #take(told: KeptNode): Promise<readonly AdmissionRefusal[]> {
    const { node } = told;
    const { admitted, refused } = this.#judge(told);
    const changed = new Map([...this.#displaced(node, admitted), [node, admitted]]);
    const same = changed.size === 1 && isDeepStrictEqual(this.#kept.get(node)?.workloads ?? [], admitted);
    const before = this.#kept.get(node);
    this.#kept.set(node, { ...told, workloads: admitted });
    for (const [other, workloads] of changed) {
      const kept = this.#kept.get(other);
      if (kept !== undefined) this.#kept.set(other, { ...kept, workloads });
    }
    const applied = same ? undefined : this.#options.apply(changed);
    if (applied instanceof Promise) await applied;
    if (!same || !isDeepStrictEqual(before, this.#kept.get(node))) await this.#keep([...changed.keys()]);
    return refused;
  }

  #judge(told: KeptNode) {
    const { node, grant, workloads } = told;
    const { world } = this.#options;
    const nodes = this.#nodeAddresses(told);
    const judged = admit(
      workloads,
      grant,
      { ...world, nodeAt: (ip) => nodes.get(ip) ?? world.nodeAt(ip) },
      { before: this.#kept.get(node)?.workloads ?? [], holders: this.#holders(told) },
    );
    this.#tell(node, judged.refused);
    return judged;
  }

  /** What a node says are its own addresses counts as far as its token covers them: else it could keep others from theirs. */
  #nodeAddresses(asking: KeptNode): ReadonlyMap<string, string> {
    return new Map(
      [...this.#kept.values(), asking].flatMap(({ node, nodeAddresses, grant }) => {
        const own = nodeAddresses.map(tryParseIp).filter((ip) => ip !== null && coversAddress(grant, ip));
        return own.map((ip): [string, string] => [ip ?? '', node]);
      }),
    );
  }

  /** What the workloads of other nodes that live have, of what this one claims. */
  #holders({ node, workloads }: KeptNode): Holders {
    const byName = new Map<string, string>();
    const byAddress = new Map<string, { node: string; workload: string }>();
    for (const { other, workload } of this.#rivals(node, workloads)) {
      if (!this.#options.isAlive(other)) continue;
      byName.set(nameOf(workload), other);
      for (const ip of workload.addresses) byAddress.set(ip, { node: other, workload: nameOf(workload) });
    }
    return { byName: (name) => byName.get(name) ?? null, byAddress: (ip) => byAddress.get(ip) ?? null };
  }

  /** What nodes that are gone are left with when `node` now runs `workloads`: a name and an address move to who uses them. */
  #displaced(node: string, workloads: readonly RegisteredWorkload[]): Map<string, readonly RegisteredWorkload[]> {
    const left = new Map<string, readonly RegisteredWorkload[]>();
    for (const { other, workload } of this.#rivals(node, workloads)) {
      const theirs = left.get(other) ?? this.#kept.get(other)?.workloads ?? [];
      left.set(
        other,
        theirs.filter((one) => one !== workload),
      );
    }
    return left;
  }

  /** Workloads of other nodes that have a name or an address of these. */
  #rivals(node: string, workloads: readonly RegisteredWorkload[]): { other: string; workload: RegisteredWorkload }[] {
    const names = new Set(workloads.map(nameOf));
    const addresses = new Set(workloads.flatMap((workload) => workload.addresses));
    return [...this.#kept.values()]
      .filter((kept) => kept.node !== node)
      .flatMap((kept) =>
        kept.workloads
          .filter((workload) => names.has(nameOf(workload)) || workload.addresses.some((ip) => addresses.has(ip)))
          .map((workload) => ({ other: kept.node, workload })),
      );
  }

  #tell(node: string, refused: readonly AdmissionRefusal[]): void {
    const told = this.#refused.get(node);
    const now = new Map(refused.map((refusal) => [refusal.message, refusal]));
    if (now.size === 0) this.#refused.delete(node);
    else this.#refused.set(node, now);
    for (const [message, refusal] of now) if (!told?.has(message)) this.#options.onRefusal(node, refusal);
  }

  async #keep(nodes: readonly string[]): Promise<void> {
    const { store, log } = this.#options;
    let lost: unknown = null;
    for (const node of nodes) this.#hashes.set(node, hashOf(this.#textOf(node)));
    // One after the other, so that the last state is the one that stays.
    this.#writing = this.#writing.then(async () => {
      try {
        for (const node of nodes) {
          await store.write(`${REGISTRY_PREFIX}${encodeURIComponent(node)}.json`, this.#textOf(node), {
            secret: false,
          });
        }
        this.#problem = null;
      } catch (error) {
        lost = isNotLeader(error) ? error : null;
        // The mesh goes on with what is in memory: a full disk must not keep workloads from starting.
        this.#problem = messageOf(error);
        log.error(
          { nodes, err: error },
          'registered workloads are not kept: after a restart they are missing until their agent reconnects',
        );
      }
    });
    await this.#writing;
    if (lost !== null) throw lost; // another replica leads now, and is to be told
  }
}

function nodeOf(name: string): string {
  return decodeURIComponent(name.slice(REGISTRY_PREFIX.length).replace(/\.json$/, ''));
}
