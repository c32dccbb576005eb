import { type Cidr, familyOf, formatCidr } from '#model/address/ip.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { AddressPool } from '#platform/linux/net/address-pool.ts';
import { runCommand } from '#platform/linux/process/command.ts';
import { slugOf } from './sandbox-name.ts';

/** Never given another source: they are local to the link, or for many receivers. */
const NEVER_4 = ['169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32'];
const NEVER_6 = ['fe80::/10', 'ff00::/8'];

/** `excluded`: destinations that see the workloads' own addresses, such as the pools of other nodes. */
export type EgressNat = { node: string; bridge: string; pool: AddressPool; excluded: readonly Cidr[] };

/**
 * Gives traffic of workloads that leaves the node the node's own source address, by an nft table of the node's; replaces
 * an earlier one at once. The sentence says what is lost when it cannot be done; null when it is done.
 */
export async function installEgressNat(nat: EgressNat): Promise<string | null> {
  const result = await runCommand('nft', ['-f', '-'], egressNatRuleset(nat));
  const lost = 'workloads reach hosts outside the mesh only if those know a route back';
  switch (result.kind) {
    case 'done':
      return null;
    case 'missing':
      return `no address translation for workloads, as nft is not installed (package nftables): ${lost}`;
    case 'failed':
      return `no address translation for workloads, as nft failed (${result.stderr.split('\n')[0]}): ${lost}`;
  }
}

/** Removes the table; does nothing when there is none, or no nft. */
export async function removeEgressNat(node: string): Promise<void> {
  await runCommand('nft', ['-f', '-'], emptied(tableOf(node)));
}

/** The ruleset for `nft -f`. */
export function egressNatRuleset({ node, bridge, pool, excluded }: EgressNat): string {
  const table = tableOf(node);
  const rules = [pool.pool4, pool.pool6].flatMap((from) => (from === null ? [] : [ruleFor(from, bridge, excluded)]));
  // A tunnel comes from its workload's own address, which the other node takes for the one that the control plane knows.
  const tunnels = `tcp dport ${PORT.hbone} accept`;
  const chain = ['type nat hook postrouting priority srcnat; policy accept;', tunnels, ...rules]
    .map((line) => `    ${line}\n`)
    .join('');
  return `${emptied(table)}table inet ${table} {\n  chain postrouting {\n${chain}  }\n}\n`;
}

function ruleFor(from: Cidr, bridge: string, excluded: readonly Cidr[]): string {
  const family = familyOf(from.base);
  const keyword = family === 4 ? 'ip' : 'ip6';
  const same = excluded.filter(({ base }) => familyOf(base) === family).map(formatCidr);
  const kept = [...new Set([formatCidr(from), ...same, ...(family === 4 ? NEVER_4 : NEVER_6)])];
  // One condition per network instead of a set: sets refuse networks that overlap.
  const elsewhere = kept.map((cidr) => `${keyword} daddr != ${cidr}`).join(' ');
  return `${keyword} saddr ${formatCidr(from)} oifname != "${bridge}" ${elsewhere} masquerade`;
}

/** Makes sure that the table is not there: only an existing one can be deleted, and adding it twice is no error. */
function emptied(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}

function tableOf(node: string): string {
  return `weft_${slugOf(node).replaceAll('-', '_')}`;
}
