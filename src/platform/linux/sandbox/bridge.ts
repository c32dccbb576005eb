import { WeftError } from '#model/error.ts';
import { type AddressPool, addressesOf, GATEWAY_HOST } from '#platform/linux/net/address-pool.ts';
import { ip, ipBatch, readAlias, readPorts, tryIp } from '#platform/linux/net/ip-command.ts';
import { readSysctl, writeSysctl } from '#platform/linux/net/sysctl.ts';
import { bridgeMacOf, isHostVeth } from './sandbox-name.ts';

/** Fixed by the kernel: IFNAMSIZ is 16, its last byte 0. */
const INTERFACE_CHARACTERS_MAX = 15;

/** Errors: WEFT_SANDBOX_BRIDGE. */
export function checkBridgeName(bridge: string): void {
  if (/^[a-zA-Z][a-zA-Z0-9._-]*$/.test(bridge) && bridge.length <= INTERFACE_CHARACTERS_MAX) return;
  throw new WeftError('WEFT_SANDBOX_BRIDGE', `"${bridge}" cannot be the name of a bridge`, {
    remedy: `write at most ${INTERFACE_CHARACTERS_MAX} letters, digits, "-", "_" and "."`,
  });
}

/** Errors: WEFT_SANDBOX_BRIDGE when there is an interface of that name that is not the node's. `known`: it is known to be. */
export async function requireOwnBridge(node: string, bridge: string, known: boolean): Promise<void> {
  const alias = await readAlias(bridge);
  if (alias !== null && !known && alias !== aliasOf(node)) throw foreign(bridge);
}

/** The node's bridge with the pool's gateway addresses, up; one that is there is brought to this state. Errors: WEFT_SANDBOX_COMMAND. */
export async function ensureBridge(node: string, bridge: string, pool: AddressPool): Promise<void> {
  const exists = (await readAlias(bridge)) !== null;
  // Spanning tree and snooping would only delay the first packets of a new workload.
  const add = `link add ${bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`;
  await ipBatch(null, [
    ...(exists ? [] : [add]),
    `link set ${bridge} address ${bridgeMacOf(node, bridge)} alias ${quoted(aliasOf(node))}`,
  ]);
  if (pool.pool6 !== null) {
    await writeSysctl(`ipv6/conf/${bridge}/disable_ipv6`, '0');
    await writeSysctl(`ipv6/conf/${bridge}/accept_dad`, '0');
    await writeSysctl(`ipv6/conf/${bridge}/accept_ra`, '0');
  }
  const [gateway4, gateway6] = addressesOf(pool, GATEWAY_HOST);
  await ipBatch(null, [
    `addr replace ${gateway4}/${pool.pool4.length} dev ${bridge}`,
    ...(gateway6 === undefined || pool.pool6 === null
      ? []
      : [`addr replace ${gateway6}/${pool.pool6.length} dev ${bridge} nodad`]),
    `link set ${bridge} up`,
  ]);
}

/** Removes the bridge, and ports that were left on it, if it is ours; does nothing when it is gone. */
export async function removeBridge(node: string, bridge: string, known: boolean): Promise<void> {
  const alias = await readAlias(bridge);
  if (alias === null || (!known && alias !== aliasOf(node))) return;
  for (const port of await readPorts(bridge)) if (isHostVeth(port.name)) await tryIp(['link', 'del', port.name]);
  await ip(['link', 'del', bridge]);
}

/** Whether workloads can have IPv6: not when it is turned off for the kernel or for this whole network namespace. */
export async function ipv6Usable(): Promise<boolean> {
  return (await readSysctl('ipv6/conf/all/disable_ipv6')) === '0';
}

/** The interfaces by which this network namespace reaches others: those that its routes with a gateway use. */
export async function findUplinks(bridge: string): Promise<readonly string[]> {
  const devices = new Set<string>();
  for (const family of ['-4', '-6']) {
    const routes: { gateway?: string; via?: object; dev?: string }[] = JSON.parse(
      (await tryIp([family, '-j', 'route', 'show'])) || '[]',
    );
    for (const { gateway, via, dev } of routes) if ((gateway ?? via) !== undefined && dev !== undefined) devices.add(dev);
  }
  devices.delete(bridge);
  return [...devices];
}

/** What marks a bridge as that of a node, also when the files about it were lost. */
function aliasOf(node: string): string {
  return `weft node ${node}`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\\n]/g, '_')}"`;
}

function foreign(bridge: string): WeftError {
  return new WeftError('WEFT_SANDBOX_BRIDGE', `there is an interface "${bridge}" already, which this node did not make`, {
    remedy: `choose another bridge name, or remove it: ip link del ${bridge}`,
  });
}
