import { Resolver } from 'node:dns/promises';
import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import type { NetworkFacts, NodeRanges } from '#model/check/network.ts';
import { CHECK } from '#model/settings/checks.ts';
import { parseResolvConf } from '#platform/dns-upstream/resolv-conf.ts';
import { hostRanges } from '#platform/linux/net/host-ranges.ts';
import { readSysctl } from '#platform/linux/net/sysctl.ts';
import { runCommand } from '#platform/linux/process/command.ts';
import { findUplinks } from '#platform/linux/sandbox/bridge.ts';

/** Where the machine's DNS servers are written. */
const RESOLV_CONF = '/etc/resolv.conf';

/** A machine's network, as far as `nodes` need it. What cannot be read is taken to be well. */
export async function surveyNetwork(nodes: readonly NodeRanges[]): Promise<NetworkFacts> {
  const [ranges, uplinks, bridges, droppingChains, nameservers, outgoingPorts, disabled] = await Promise.all([
    hostRanges().catch(() => []),
    surveyUplinks(nodes).catch(() => []),
    Promise.all(nodes.filter(({ planned }) => !planned).map(surveyBridge)),
    surveyChains(),
    surveyNameservers(),
    readSysctl('ipv4/ip_local_port_range'),
    readSysctl('ipv6/conf/all/disable_ipv6'),
  ]);
  const [first, last] = (outgoingPorts ?? '').split(/\s+/).map(Number);
  return {
    loopbackUp: Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ internal }) => internal)),
    sysctlWritable: isWritable('/proc/sys/net/ipv4/ip_forward'),
    ipv6Disabled: disabled === '1',
    outgoingPorts: first === undefined || last === undefined ? null : [first, last],
    ranges,
    uplinks,
    bridges,
    droppingChains,
    nameservers,
  };
}

/** Only a disk, or a container, that is read-only counts: who is not root is told so elsewhere. */
function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EROFS');
  }
}

async function surveyUplinks(nodes: readonly NodeRanges[]): Promise<NetworkFacts['uplinks']> {
  const devices = (await findUplinks('')).filter((device) => !nodes.some(({ bridge }) => bridge === device));
  const everywhere = Number(await readSysctl('ipv4/conf/all/rp_filter'));
  // The kernel takes the larger of both.
  return Promise.all(
    devices.map(async (device) => ({
      device,
      rpFilter: Math.max(everywhere, Number(await readSysctl(`ipv4/conf/${device}/rp_filter`))),
    })),
  );
}

async function surveyBridge({ node, bridge }: NodeRanges): Promise<NetworkFacts['bridges'][number]> {
  const forwarding = await readSysctl(`ipv4/conf/${bridge}/forwarding`);
  return { node, bridge, forwards: forwarding !== '0' };
}

type NftList = { nftables?: { chain?: { family: string; table: string; name: string; hook?: string; policy?: string } }[] };

/** Without nft, or without the right to ask it, none is seen. */
async function surveyChains(): Promise<string[]> {
  const listed = await runCommand('nft', ['-j', 'list', 'chains']);
  if (listed.kind !== 'done') return [];
  try {
    const { nftables = [] } = JSON.parse(listed.stdout) as NftList;
    return nftables.flatMap(({ chain }) =>
      chain?.hook === 'forward' && chain.policy === 'drop' ? [`${chain.family} ${chain.table} ${chain.name}`] : [],
    );
  } catch {
    return [];
  }
}

/** Any answer counts, also that there is no such name. */
async function surveyNameservers(): Promise<NetworkFacts['nameservers']> {
  const text = await readFile(RESOLV_CONF, 'utf8').catch(() => '');
  return Promise.all(
    parseResolvConf(text).nameservers.map(async ({ address }) => {
      const resolver = new Resolver({ timeout: CHECK.nameserverMs, tries: 1 });
      resolver.setServers([address.includes(':') ? `[${address}]` : address]);
      const answers = await resolver.resolveNs('.').then(
        () => true,
        (error: { code?: string }) => !/TIMEOUT|CONNREFUSED|UNREACH|CANCELLED/.test(error.code ?? ''),
      );
      return { address, answers };
    }),
  );
}
