import type { IpAddress } from '#model/address/ip.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { formatPublication } from '#model/launch/publication.ts';
import { sameCapture } from '#model/mesh/capture.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import { addressesByFamily } from '#model/path/tables.ts';
import type { WorkloadNamespace } from '#node-agent/effects/agent-effects.ts';

/** Who is to be enrolled, and where. */
export type Newcomer = { uid: string; identity: Identity; addresses: IpAddress[]; netns: Place };
type Place = Pick<WorkloadNamespace, 'netnsCookie'>;
type Asked = WorkloadRequest & { readonly addresses: readonly string[] };

/** The number under which a former agent captured this very namespace for this very identity; null: it is somebody new. */
export function adoptedId({ workloads, names }: KernelMaps, { uid, identity, addresses, netns }: Newcomer): number | null {
  const known = workloads.get(netns.netnsCookie);
  if (known === null) return null;
  const name = names.get(known.id);
  const { ip4, ip6 } = addressesByFamily({ addresses });
  const isSame = name?.uid === uid && name.identity === formatIdentity(identity) && known.ip4 === ip4 && known.ip6 === ip6;
  return isSame ? known.id : null;
}

/** Whether serving goes on as it is. Ports and pools belong to the namespace, certificates to the account. */
export function isUnchanged(enrolled: { request: Asked; netns: Place }, request: Asked, netns: Place): boolean {
  const { request: before } = enrolled;
  return (
    enrolled.netns.netnsCookie === netns.netnsCookie &&
    before.namespace === request.namespace &&
    before.serviceAccount === request.serviceAccount &&
    before.nativeTunnel === request.nativeTunnel &&
    before.addresses.join() === request.addresses.join() &&
    portsOf(before) === portsOf(request) &&
    sameCapture(before.annotations, request.annotations)
  );
}

function portsOf({ published = [] }: Asked): string {
  return published.map(formatPublication).join();
}
