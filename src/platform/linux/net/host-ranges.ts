import { WeftError } from '#model/error.ts';
import { type Holding, type HostRange, hostConflictOf } from '#model/instance/holding.ts';
import { tryIp } from './ip-command.ts';

type Route = { dst?: string; dev?: string; gateway?: string; via?: object; type?: string };
type Link = { ifname?: string; addr_info?: { local?: string }[] };

/** Networks and addresses of this network namespace: what its routes lead to, and what it has itself. None that cannot be read. */
export async function hostRanges(): Promise<readonly HostRange[]> {
  const routes = await Promise.all(['-4', '-6'].map(async (family) => rows<Route>(await tryIp([family, '-j', 'route', 'show']))));
  const links = rows<Link>(await tryIp(['-j', 'address', 'show']));
  return [...routes.flat().flatMap(rangeOfRoute), ...links.flatMap(rangesOfLink)];
}

function rangeOfRoute({ dst = 'default', dev, gateway, via, type }: Route): HostRange[] {
  // What is refused or thrown away leads nowhere, and without a device nobody could be named.
  if (dst === 'default' || dev === undefined || type !== undefined) return [];
  return [{ cidr: dst, device: dev, direct: gateway === undefined && via === undefined }];
}

function rangesOfLink({ ifname: device = '', addr_info: addresses = [] }: Link): HostRange[] {
  return addresses.flatMap(({ local }) => (local === undefined ? [] : [{ cidr: local, device, direct: false }]));
}

/** Returns when no network of the machine has part of a pool. Errors: WEFT_POOL_OVERLAP. */
export function requireFreeRanges(wanted: Pick<Holding, 'bridge' | 'pool4' | 'pool6'>, ranges: readonly HostRange[]): void {
  const conflict = hostConflictOf(wanted, ranges);
  if (conflict !== null) throw new WeftError(conflict.code, conflict.message, { remedy: conflict.remedy });
}

function rows<Row>(text: string | null): Row[] {
  return JSON.parse((text ?? '').trim() || '[]') as Row[];
}
