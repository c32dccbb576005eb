import { readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';
import { type AddressPool, addressesOf, GATEWAY_HOST } from '#platform/linux/net/address-pool.ts';
import { ip, ipBatch, readLink, tryIp } from '#platform/linux/net/ip-command.ts';
import { missingProgram, runCommand } from '#platform/linux/process/command.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import type { SandboxRecord } from './records.ts';
import { hostVethOfNetns, isNetnsNameOf, workloadMacOf } from './sandbox-name.ts';

/** Where iproute2 keeps named network namespaces. */
const NETNS_FOLDER = '/run/netns';
const NSFS_MAGIC = 0x6e736673;
const INSIDE = 'eth0';

/** A sandbox to be joined to a bridge. `mtuBytes` null: the kernel's default. */
export type Wire = { record: SandboxRecord; bridge: string; pool: AddressPool; mtuBytes: number | null };

/** The file by which a named network namespace is entered. */
export function netnsPathOf(netnsName: string): string {
  return join(NETNS_FOLDER, netnsName);
}

/**
 * Makes the network namespace of a sandbox and joins it to the bridge: interface `eth0` with the addresses, usable at once,
 * and default routes by the gateway. Errors: WEFT_SANDBOX_COMMAND; what was made until then stays, for `unwire`.
 */
export async function wire({ record, bridge, pool, mtuBytes }: Wire): Promise<void> {
  const { netnsName, hostVeth, addresses } = record;
  const hasIpv6 = addresses.length > 1;
  const mtu = mtuBytes === null ? '' : ` mtu ${mtuBytes}`;
  await ip(['netns', 'add', netnsName]);
  await ipBatch(null, [
    `link add ${hostVeth}${mtu} type veth peer name ${INSIDE}${mtu} address ${workloadMacOf(hostVeth)} netns ${netnsName}`,
    `link set ${hostVeth} master ${bridge}${hasIpv6 ? ' addrgenmode none' : ''}`,
    `link set ${hostVeth} up`,
  ]);
  if (hasIpv6) await setInside(netnsName, ipv6Settings());
  const gateways = addressesOf(pool, GATEWAY_HOST);
  const lengths = [pool.pool4.length, pool.pool6?.length ?? 0];
  await ipBatch(netnsName, [
    'link set lo up',
    // Its link-local address comes of its MAC, by which the guard knows it.
    `link set ${INSIDE}${hasIpv6 ? ' addrgenmode eui64' : ''}`,
    `link set ${INSIDE} up`,
    ...addresses.map((address, at) => `addr add ${address}/${lengths[at]} dev ${INSIDE}${at === 0 ? '' : ' nodad'}`),
    ...gateways.slice(0, addresses.length).map((gateway) => `route add default via ${gateway} dev ${INSIDE}`),
  ]);
}

/**
 * Whether everything `wire` made is there. A MAC address of an earlier version, or one that was changed from inside, is put
 * right: the guard of the link knows only the one that was given.
 */
export async function isWired(record: SandboxRecord, bridge: string): Promise<boolean> {
  if (!(await isNamespace(record.netnsName))) return false;
  const [outside, inside] = await Promise.all([readLink(null, record.hostVeth), readLink(record.netnsName, INSIDE)]);
  const mac = workloadMacOf(record.hostVeth);
  if (inside !== null && inside.mac !== mac) await tryIp(['-n', record.netnsName, 'link', 'set', INSIDE, 'address', mac]);
  return outside?.master === bridge && record.addresses.every((address) => inside?.addresses.includes(address) === true);
}

/** Removes what `wire` made, whole or in part, and waits until the namespace is off the list. Errors: WEFT_SANDBOX_COMMAND. */
export async function unwire({ netnsName, hostVeth }: Pick<SandboxRecord, 'netnsName' | 'hostVeth'>): Promise<void> {
  await tryIp(['link', 'del', hostVeth]); // first: with the namespace it would vanish only some time later
  await removeNetns(netnsName);
}

/** The same for a namespace of which nothing but its name is known. */
export function unwireNetns(netnsName: string): Promise<void> {
  return unwire({ netnsName, hostVeth: hostVethOfNetns(netnsName) });
}

async function removeNetns(netnsName: string): Promise<void> {
  if (await isListed(netnsName)) await ip(['netns', 'del', netnsName]);
  if (await eventually(async () => !(await isListed(netnsName)), HOST.namespaceSettleMs)) return;
  throw new WeftError('WEFT_SANDBOX_COMMAND', `the network namespace ${netnsName} does not go away`, {
    remedy: `remove it by hand: ip netns del ${netnsName}`,
  });
}

/** The names of every sandbox namespace of a node, those without a record included. */
export async function listNetnsOf(node: string): Promise<readonly string[]> {
  return (await listNetns()).filter((name) => isNetnsNameOf(node, name));
}

/** A file of that name that is no mounted namespace is what a crash or another mount namespace leaves. */
export async function isNamespace(netnsName: string): Promise<boolean> {
  return statfs(netnsPathOf(netnsName)).then(
    ({ type }) => type === NSFS_MAGIC,
    () => false,
  );
}

async function isListed(netnsName: string): Promise<boolean> {
  return (await listNetns()).includes(netnsName);
}

async function listNetns(): Promise<readonly string[]> {
  return readdir(NETNS_FOLDER).catch(() => []);
}

function ipv6Settings(): readonly string[] {
  const everywhere = ['all', 'default', INSIDE];
  return [
    ...everywhere.flatMap((name) => [`ipv6/conf/${name}/disable_ipv6`, '0', `ipv6/conf/${name}/accept_dad`, '0']),
    ...[`ipv6/conf/${INSIDE}/accept_ra`, '0'],
  ];
}

/** `settings`: names and values in turn, below /proc/sys/net as it is inside the namespace. */
async function setInside(netnsName: string, settings: readonly string[]): Promise<void> {
  const script = 'while [ $# -gt 0 ]; do echo "$2" > "/proc/sys/net/$1" || exit 1; shift 2; done';
  const result = await runCommand('nsenter', [
    `--net=${netnsPathOf(netnsName)}`,
    '--',
    '/bin/sh',
    '-c',
    script,
    'weft',
    ...settings,
  ]);
  if (result.kind === 'missing') throw missingProgram('nsenter', 'util-linux');
  if (result.kind === 'failed') {
    throw new WeftError('WEFT_SANDBOX_COMMAND', `cannot set IPv6 up in ${netnsName}: ${result.stderr}`, {
      remedy: 'run as root, where /proc/sys is writable',
    });
  }
}
