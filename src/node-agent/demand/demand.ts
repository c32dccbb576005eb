import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { REASON } from '#model/kernel/abi.ts';
import type { KernelEvent } from '#model/kernel/maps.ts';
import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import { addressIn, addressName, neededNames } from '#model/mesh/needed-names.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { LOOKUP } from '#model/settings/lookup.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { Answers } from '#protocol/xds/client-session.ts';
import { Lookups, type LookupsOptions, type NameChannel } from './lookups.ts';

/** Why a connection cannot be decided yet, or not at all. */
export type Unanswered = { readonly refusal: Refusal; readonly isSettled: boolean };

/** Waits within bounds for an answer that is not null; null: there is none. */
type Waiting = { until<T>(look: () => T | null): Promise<T | null> };

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
  /** Workload → how many of its questions for names wait. */
  readonly #waiting = new Map<string, number>();

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
    return this.#need(source.uid, neededNames(this.#agent.mesh, source, ip), `who has ${ip}`);
  }

  /** The same of what a peer asks a workload of this node for: by another address than its own, or by the name of a service of its. */
  unansweredArrival({ uid, network, services }: Workload, host: string): Unanswered | null {
    const ip = tryParseIp(host);
    const ofHost = [...services.keys()].filter((key) => key.endsWith(`/${host}`));
    const names = ip === null ? ofHost : neededNames(this.#agent.mesh, { network }, ip);
    return this.#need(` ${uid}`, names, `who is ${host}`); // what strangers ask for is not on its account
  }

  #need(asker: string, names: Iterable<string>, question: string): Unanswered | null {
    switch (this.#lookups.need(asker, names)) {
      case 'answered':
        return null;
      case 'open':
        return { refusal: unknown(`the control plane has not answered ${question}`), isSettled: false };
      case 'full':
        return { refusal: unknown(`too much is asked of the control plane to ask ${question}`), isSettled: true };
    }
  }

  /** A workload asks for names: resolves when it is known of each of these services whether it is there; false: that is not told, or not in time. */
  async answers(uid: string, services: readonly string[], waiters: Waiting): Promise<boolean> {
    const standing = () => this.#lookups.need(uid, services);
    const now = standing();
    const waiting = this.#waiting.get(uid) ?? 0;
    if (now !== 'open' || !this.#lookups.isConnected || waiting >= LOOKUP.openPerWorkloadMax) return now === 'answered';
    this.#waiting.set(uid, waiting + 1);
    const isAnswered = await waiters.until(() => (standing() === 'answered' ? true : null));
    const left = (this.#waiting.get(uid) ?? 1) - 1;
    if (left > 0) this.#waiting.set(uid, left);
    else this.#waiting.delete(uid);
    return isAnswered === true;
  }

  /** The kernel refused something since it does not know whose the address is: true while that is asked for, and the next time it does. */
  heard({ reason, sourceId, destination }: KernelEvent): boolean {
    const source = UNKNOWN.has(reason) ? this.#agent.records.party(sourceId) : null;
    if (source === null || destination === null) return false;
    return this.unanswered(source.record, destination)?.isSettled === false;
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
