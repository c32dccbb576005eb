import { type IpAddress, parseIp, specialUseOf, tryParseIp } from '#model/address/ip.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { accountRefusal, addressRefusal, type NodeGrant, type Reserved } from '#model/trust/grant.ts';
import type { ControlRefusal } from '#model/trust/refusal.ts';

/** One workload that is not taken, and why: in a word, in a sentence, and what to do about it. */
export type AdmissionRefusal = { workload: RegisteredWorkload; cause: ControlRefusal; message: string; remedy: string };

/** What the mesh knows beside the node that asks. */
export type AdmissionWorld = {
  reserved: Reserved;
  /** Label by which a workload becomes an instance of a waypoint. */
  waypointLabel: string;
  /** `<namespace>/<name>` of the service whose address it is or may become; null: no service's. */
  serviceAt(ip: IpAddress): string | null;
  /** The node whose own address it is (its gateway's too); null: no node's. */
  nodeAt(ip: IpAddress): string | null;
  /** Name of an endpoint in the configuration that has the address; null: there is none. */
  configuredAt(ip: IpAddress): string | null;
};

/** The workloads of other nodes that stay while those nodes live: what they hold is not taken over. */
export type Holders = {
  /** Node that runs a workload of this `<namespace>/<name>`. */
  byName(name: string): string | null;
  byAddress(ip: IpAddress): { node: string; workload: string } | null;
};

/** What of a registration becomes part of the mesh. */
export type Admission = { admitted: RegisteredWorkload[]; refused: AdmissionRefusal[] };

const GRANT_REMEDY = 'make a token for this node that names it: weft token NODE --identity NS/SA --addresses CIDR';
const ADDRESS_REMEDY = 'give it an address of its own, within what the token of its node names';

/**
 * Judges what a node says it runs, each workload by itself: one that may not be does not keep the others out of the mesh.
 * `before`: what is admitted of this node now; of two workloads that claim one address the one that has it keeps it.
 */
export function admit(
  workloads: readonly RegisteredWorkload[],
  grant: NodeGrant,
  world: AdmissionWorld,
  { before, holders }: { before: readonly RegisteredWorkload[]; holders: Holders },
): Admission {
  const own = new OwnAddresses(before, workloads);
  const refused: AdmissionRefusal[] = [];
  const admitted = workloads.filter((workload) => {
    const refusal = judge(workload, grant, world, holders) ?? own.take(workload);
    if (refusal === null) return true;
    refused.push({ workload, ...refusal });
    return false;
  });
  return { admitted, refused };
}

type Judgement = Omit<AdmissionRefusal, 'workload'>;

function judge(workload: RegisteredWorkload, grant: NodeGrant, world: AdmissionWorld, holders: Holders): Judgement | null {
  if (grant.podsOnly === true) {
    const message = `${nameOf(workload)} is no pod that the API server tells of, and the token of this node is for those alone`;
    return { cause: 'identity-not-granted', message, remedy: 'run it as a pod of the cluster' };
  }
  const identity = accountRefusal(grant, workload, world.reserved);
  if (identity !== null) return { cause: 'identity-not-granted', message: identity, remedy: GRANT_REMEDY };
  // By its label it would be sent what waypoints are: the policies of every service behind one are enforced there.
  const isInstance = workload.nativeTunnel || workload.labels[world.waypointLabel] !== undefined;
  if (isInstance && !grant.waypoints) {
    const message = `${nameOf(workload)} is an instance of a waypoint, and the token of this node is not for waypoints`;
    return { cause: 'waypoint-not-granted', message, remedy: 'make a token for this node with --waypoints' };
  }
  const rival = holders.byName(nameOf(workload));
  if (rival !== null) {
    const message = `${nameOf(workload)} already runs on node "${rival}"`;
    return { cause: 'name-held', message, remedy: 'end it there, or give this one another name' };
  }
  for (const text of workload.addresses) {
    const refusal = judgeAddress(parseIp(text), grant, world, holders);
    if (refusal !== null) return { ...refusal, remedy: refusal.cause === 'address-not-granted' ? GRANT_REMEDY : ADDRESS_REMEDY };
  }
  return null;
}

/** What can be nobody's goes before what this node may not have: it would be refused with any token. */
function judgeAddress(
  ip: IpAddress,
  grant: NodeGrant,
  world: AdmissionWorld,
  holders: Holders,
): Omit<Judgement, 'remedy'> | null {
  const special = specialUseOf(ip);
  if (special !== null) return { cause: 'address-reserved', message: `${ip} is a ${special} address` };
  const service = world.serviceAt(ip);
  if (service !== null) return { cause: 'address-of-service', message: `${ip} belongs to ${service}` };
  const ungranted = addressRefusal(grant, ip);
  if (ungranted !== null) return { cause: 'address-not-granted', message: ungranted };
  const node = world.nodeAt(ip);
  if (node !== null) return { cause: 'address-of-node', message: `${ip} is an address of node "${node}" itself` };
  const configured = world.configuredAt(ip);
  if (configured !== null) return { cause: 'address-held', message: `${ip} is the address of ${configured}` };
  const holder = holders.byAddress(ip);
  if (holder !== null)
    return { cause: 'address-held', message: `${ip} is the address of ${holder.workload} on node "${holder.node}"` };
  return null;
}

/** Which workload of the node has which address, while its list is gone through. */
class OwnAddresses {
  readonly #owners = new Map<string, string>();

  constructor(before: readonly RegisteredWorkload[], now: readonly RegisteredWorkload[]) {
    // What is no longer listed has left, and its address is free.
    const listed = new Map(now.map((workload) => [nameOf(workload), workload.addresses.map(tryParseIp)]));
    for (const workload of before) {
      for (const ip of workload.addresses.map(tryParseIp)) {
        if (ip !== null && listed.get(nameOf(workload))?.includes(ip)) this.#owners.set(ip, nameOf(workload));
      }
    }
  }

  take(workload: RegisteredWorkload): Judgement | null {
    const addresses = workload.addresses.map(parseIp);
    for (const ip of addresses) {
      const owner = this.#owners.get(ip);
      if (owner !== undefined && owner !== nameOf(workload))
        return { cause: 'address-held', message: `${ip} is the address of ${owner} on this node`, remedy: ADDRESS_REMEDY };
    }
    for (const ip of addresses) this.#owners.set(ip, nameOf(workload));
    return null;
  }
}

/** `<namespace>/<name>`. */
export function nameOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}
