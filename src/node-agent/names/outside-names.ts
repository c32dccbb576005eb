import type { IpAddress } from '#model/address/ip.ts';
import { namedPorts } from '#model/dns/named-ports.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { AnsweredAddress } from '#protocol/dns/answered-addresses.ts';
import { AnsweredNames } from './answered-names.ts';
import { ResolvedEndpoints, type ResolvedEndpointsOptions } from './resolved-endpoints.ts';

/** An enrolment, as far as names concern it. */
type Named = { readonly id: number; readonly request: { readonly uid: string; readonly namespace: string } };

type NameEffects = Omit<ResolvedEndpointsOptions, 'changed'> & {
  readonly kernel: { readonly maps: Pick<KernelMaps, 'permits'>; nowNs(): bigint };
};

/** The agent, as far as names concern it. */
export type NamingAgent = {
  readonly mesh: MeshState;
  readonly enrollment: { get(uid: string): Named | null };
  readonly records: { lastOf(uid: string): Pick<Workload, 'registryOnly'> | null };
  readonly synced: boolean;
  applyMesh(delta: MeshDelta, complete: boolean): void;
};

/** Names that nameservers outside the mesh answer: those of endpoints, and those that workloads ask for. */
export class OutsideNames {
  readonly #endpoints: ResolvedEndpoints;
  readonly #answered: AnsweredNames;
  readonly #agent: NamingAgent;

  constructor(effects: NameEffects, agent: NamingAgent) {
    const { kernel, clock, log } = effects;
    this.#agent = agent;
    this.#endpoints = new ResolvedEndpoints({ ...effects, changed: (delta) => agent.applyMesh(delta, agent.synced) });
    this.#answered = new AnsweredNames({
      ...{ maps: kernel.maps, nowNs: () => kernel.nowNs(), clock, log },
      idOf: (uid) => agent.enrollment.get(uid)?.id ?? null,
      portsOf: (uid, name) => namedPorts(name, { namespace: agent.enrollment.get(uid)?.request.namespace ?? '' }, agent.mesh),
      isConfined: (uid) => agent.records.lastOf(uid)?.registryOnly === true,
    });
  }

  /** The change, with addresses in the records that have names. */
  translate(delta: MeshDelta): MeshDelta {
    return this.#endpoints.translate(delta);
  }

  /** The mesh is otherwise; `first`: it is wholly known from now on. */
  changed({ services }: MeshDelta, first: boolean): void {
    this.#answered.changed(services, first);
  }

  /** A workload was answered; before it hears of it. */
  answered(uid: string, name: string, addresses: readonly AnsweredAddress[]): void {
    this.#answered.answered(uid, name, addresses);
  }

  /** Whether a workload may reach an address because it was answered for a name that the mesh knows. */
  allows(uid: string, ip: IpAddress, port: number): boolean {
    return this.#answered.allows(uid, ip, port);
  }

  /** For which name an address was answered to a workload last, and by which ports the mesh knows that name; null: for none. */
  nameOf(uid: string, ip: IpAddress): ReturnType<AnsweredNames['nameOf']> {
    return this.#answered.nameOf(uid, ip);
  }

  /** It may reach what it could before this process. */
  enrolled({ request }: Named): void {
    this.#answered.enrolled(request.uid, this.#agent.synced);
  }

  /** Its rights end with it. */
  ended({ request, id }: Named): void {
    this.#answered.ended(request.uid, id);
  }

  /** Another process writes there from now on. */
  leaveKernel(): void {
    this.#answered.stop();
  }

  /** Asks no more. */
  stop(): void {
    this.#endpoints.stop();
  }
}
