import type { IpAddress } from '#model/address/ip.ts';
import { REASON } from '#model/kernel/abi.ts';
import type { KernelEvent } from '#model/kernel/maps.ts';
import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import { addressIn, addressName, neededNames } from '#model/mesh/needed-names.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { Answers } from '#protocol/xds/client-session.ts';
import { Lookups, type LookupsOptions, type NameChannel } from './lookups.ts';

/** Why a connection cannot be decided yet, or not at all. */
export type Unanswered = { readonly refusal: Refusal; readonly isSettled: boolean };

/** The agent, as far as it asks for what it needs. */
export type DemandingAgent = {
  readonly mesh: MeshState;
  readonly records: { isLocal(uid: string): boolean; party(id: number): { readonly record: Workload } | null };
  /** These are followed no more. `ips`: addresses of which it is not known any more whose they are. */
  forget(delta: MeshDelta, ips: ReadonlySet<IpAddress>): void;
};

/** What the kernel refuses where it does not know whom an address belongs to. */
const UNKNOWN: ReadonlySet<number> = new Set([REASON.unknownMesh, REASON.datagram, REASON.linkClear]);

/**
 * Of an agent that follows only what its workloads need: what a decision depends on is asked for, and waited for, before it is made.
 * Source: docs/rules/node-proxy.md (B72).
 */
export class Demand {
  readonly #agent: DemandingAgent;
  readonly #lookups: Lookups;
  /** That of the workloads here, which are all on one. */
  #network = '';

  constructor(clock: LookupsOptions['clock'], agent: DemandingAgent) {
    this.#agent = agent;
    this.#lookups = new Lookups({ clock, dropped: (names, keys) => this.#dropped(names, keys) });
  }

  /** Whom it asks. */
  connect(channel: NameChannel): void {
    this.#lookups.connect(channel);
  }

  stop(): void {
    this.#lookups.stop();
  }

  /** How many names something has, nothing has, and are not answered yet. */
  get counts(): Lookups['counts'] {
    return this.#lookups.counts;
  }

  /** The records of what is enrolled are asked for by its addresses: no control plane has to know its node. */
  enrolled({ addresses }: { readonly addresses: readonly IpAddress[] }): void {
    this.#lookups.pin(addresses.map((ip) => addressName('', ip)));
  }

  ended({ addresses }: { readonly addresses: readonly IpAddress[] }): void {
    this.#lookups.unpin(addresses.map((ip) => addressName('', ip)));
  }

  /** Whether the control plane has said who has an address, or that nobody has. */
  isAnswered(ip: IpAddress): boolean {
    return this.#lookups.answerOf(addressName(this.#network, ip)) !== null;
  }

  /** What is missing to decide where a connection of a workload to an address goes; null: nothing. Asks for it. */
  unanswered(source: Workload, ip: IpAddress): Unanswered | null {
    this.#network = source.network;
    switch (this.#lookups.need(source.uid, neededNames(this.#agent.mesh, source, ip))) {
      case 'answered':
        return null;
      case 'open':
        return { refusal: unknown(`the control plane has not answered who has ${ip}`), isSettled: false };
      case 'full':
        return { refusal: unknown(`too much is asked of the control plane to ask who has ${ip}`), isSettled: true };
    }
  }

  /** The kernel refused something since it does not know whose the address is: the next time it does. */
  heard({ reason, sourceId, destination }: KernelEvent): void {
    const source = UNKNOWN.has(reason) ? this.#agent.records.party(sourceId) : null;
    if (source !== null && destination !== null) this.unanswered(source.record, destination);
  }

  /** The control plane told something: before it is applied. Returns addresses of which something else is known then. */
  take({ workloads, services }: MeshDelta, answers: Answers): Set<IpAddress> {
    const gone = [...workloads, ...services].flatMap(([key, value]) => (value === null ? [key] : []));
    return addressesIn(this.#lookups.take(answers, gone));
  }

  /** Names are left: what they led to goes with them, but for what others lead to and for what runs here. */
  #dropped(names: readonly string[], keys: readonly string[]): readonly string[] {
    const { mesh, records } = this.#agent;
    const isFollowed = (key: string): boolean => this.#lookups.isFollowed(key);
    const services = keys.filter((key) => mesh.service(key) !== null);
    const left = new Set(services);
    const isLeft = ({ uid, services: of }: Workload): boolean =>
      !records.isLocal(uid) && !isFollowed(uid) && ![...of.keys()].some((key) => !left.has(key) && mesh.service(key) !== null);
    const named = keys.flatMap((key) => mesh.workload(key) ?? []);
    const workloads = new Set([...named, ...services.flatMap((key) => mesh.endpoints(key))].filter(isLeft).map(({ uid }) => uid));
    this.#agent.forget(
      {
        workloads: new Map([...workloads].map((uid) => [uid, null])),
        services: new Map(services.map((key) => [key, null])),
        policies: new Map(),
      },
      addressesIn(names),
    );
    return [...services, ...workloads];
  }
}

function unknown(why: string): Refusal {
  return new Refusal('unknown-mesh', why);
}

function addressesIn(names: Iterable<string>): Set<IpAddress> {
  return new Set([...names].flatMap((name) => addressIn(name) ?? []));
}
