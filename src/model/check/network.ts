import { type HostRange, hostConflictOf } from '#model/instance/holding.ts';
import { type CheckFinding, found, foundAs } from './finding.ts';

/** A socket that listens. `holder`: who has it, as far as it can be seen. */
export type Listener = { address: string; port: number; pid: number | null; holder: string };

/** A port that a part of the mesh is to listen on. */
export type WantedPort = { purpose: string; host: string; port: number; isPage: boolean };

/** A node of this machine, there or to be, with its ranges. `planned`: no agent has it yet. */
export type NodeRanges = { node: string; bridge: string; pool4: string; pool6: string; planned: boolean };

/** A machine's network. Null: it could not be seen. */
export type NetworkFacts = {
  loopbackUp: boolean;
  sysctlWritable: boolean;
  /** net.ipv6.conf.all.disable_ipv6. */
  ipv6Disabled: boolean;
  /** net.ipv4.ip_local_port_range. */
  outgoingPorts: readonly [number, number] | null;
  ranges: readonly HostRange[];
  /** Interfaces that lead to others, with what rp_filter is in force on each: 0 off, 1 strict, 2 loose. */
  uplinks: readonly { device: string; rpFilter: number }[];
  /** Bridges of nodes that an agent has, with whether they forward. */
  bridges: readonly { node: string; bridge: string; forwards: boolean }[];
  /** Chains of nftables that drop what is forwarded when no rule of theirs decides. */
  droppingChains: readonly string[];
  /** DNS servers of the machine; `answers` null: not asked. */
  nameservers: readonly { address: string; answers: boolean | null }[];
};

/** What is wrong with the ports that are wanted: taken by others, or by chance. */
export function portFindings(
  wanted: readonly WantedPort[],
  listeners: readonly Listener[],
  outgoing: NetworkFacts['outgoingPorts'],
): CheckFinding[] {
  const taken = wanted.flatMap(({ purpose, host, port, isPage }) => {
    const other = listeners.find((one) => one.port === port && meets(one.address, host));
    if (other === undefined) return [];
    const message = `${host}:${port}, for ${purpose}, is taken by ${other.holder}`;
    return [found(isPage ? 'WEFT_CHECK_METRICS_PORT' : 'WEFT_CHECK_PORT', message)];
  });
  if (outgoing === null) return taken;
  const [first, last] = outgoing;
  const inside = [...new Set(wanted.map(({ port }) => port))].filter((port) => port >= first && port <= last);
  if (inside.length === 0) return taken;
  return [
    ...taken,
    found('WEFT_CHECK_PORT_RANGE', `outgoing connections use ports ${first} to ${last}, so also ${inside.join(', ')}`),
  ];
}

/** Whether two listeners on one port exclude each other: of one address, or one of them of all addresses. */
function meets(a: string, b: string): boolean {
  return a === b || isAny(a) || isAny(b) || (isLocal(a) && isLocal(b));
}

function isAny(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function isLocal(address: string): boolean {
  return address === 'localhost' || address === '127.0.0.1';
}

/** What is wrong with a machine's network, as far as its nodes need it. */
export function networkFindings(facts: NetworkFacts, nodes: readonly NodeRanges[]): CheckFinding[] {
  return [
    ...(facts.loopbackUp ? [] : [found('WEFT_CHECK_LOOPBACK', 'the interface lo is down')]),
    ...(facts.sysctlWritable ? [] : [found('WEFT_CHECK_SYSCTL', '/proc/sys/net is read-only')]),
    ...(facts.ipv6Disabled ? [found('WEFT_CHECK_IPV6', 'net.ipv6.conf.all.disable_ipv6 is 1')] : []),
    ...nodes.flatMap((node) => rangeFindings(node, facts.ranges)),
    ...facts.bridges
      .filter(({ forwards }) => !forwards)
      .map(({ node, bridge }) => found('WEFT_CHECK_FORWARDING', `node ${node}: its bridge ${bridge} does not forward`)),
    ...rpFilterFindings(facts.uplinks),
    ...facts.droppingChains.map((chain) => found('WEFT_CHECK_FORWARD_DROP', `the chain ${chain} drops what is forwarded`)),
    ...nameFindings(facts.nameservers),
  ];
}

function rangeFindings({ node, planned, ...ranges }: NodeRanges, hosts: readonly HostRange[]): CheckFinding[] {
  const conflict = hostConflictOf(ranges, hosts);
  if (conflict === null) return [];
  const message = planned ? conflict.message : `node ${node}: ${conflict.message}`;
  return [foundAs(conflict.code, 'network', message, conflict.remedy)];
}

/** With one way to others, packets and replies take the same. */
function rpFilterFindings(uplinks: NetworkFacts['uplinks']): CheckFinding[] {
  if (uplinks.length < 2) return [];
  const names = uplinks.map(({ device }) => device).join(' and ');
  return uplinks
    .filter(({ rpFilter }) => rpFilter === 1)
    .map(({ device }) =>
      found(
        'WEFT_CHECK_RP_FILTER',
        `${names} lead to others, and rp_filter is strict on ${device}`,
        `set it to loose: sysctl -w net.ipv4.conf.${device}.rp_filter=2`,
      ),
    );
}

/** One that answers is enough. */
function nameFindings(servers: NetworkFacts['nameservers']): CheckFinding[] {
  if (servers.length === 0) return [found('WEFT_CHECK_RESOLVER', '/etc/resolv.conf names no DNS server')];
  if (servers.some(({ answers }) => answers !== false)) return [];
  return [found('WEFT_DNS_UPSTREAM', `no DNS server replies: ${servers.map(({ address }) => address).join(', ')}`)];
}
