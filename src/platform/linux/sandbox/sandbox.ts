import type { Cidr, IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import type { SandboxKey } from './sandbox-name.ts';

/** Where a workload started by `weft run` lives: a network namespace with addresses, a cgroup, a resolv.conf. */
export type Sandbox = SandboxKey & {
  /** For `nsenter --net`, and for enrollment. */
  netnsPath: string;
  /** As `ip netns` shows it. */
  netnsName: string;
  /** The cgroup v2 directory that its processes join. */
  cgroupPath: string;
  /** IPv4, then IPv6 unless the node has none. */
  addresses: readonly IpAddress[];
  /** To be mounted over /etc/resolv.conf. */
  resolvConfPath: string;
  /** The veth end on the node's bridge; the other end is `eth0` inside. */
  hostVeth: string;
  /** The same for whoever guards it, with the MAC address that the workload was given. */
  link: { device: string; mac: string };
};

/** What a node's sandboxes are made with; the same at each start of its agent. */
export type SandboxesOptions = {
  /** Unique on this kernel: network namespaces are named by it. */
  node: string;
  /** The agent's run directory; it keeps files of its own there. */
  runDir: string;
  /** The node's cgroup v2 directory, made if missing. Workloads go to `<cgroupRoot>/workloads/<namespace>.<name>`. */
  cgroupRoot: string;
  /** `10.41.1.0/24`. Its first address is the gateway. */
  pool4: string;
  /** `fd41:1::/64`; null: no IPv6. */
  pool6: string | null;
  /** Name of the bridge in this process's network namespace. */
  bridge: string;
  /** The search list of a workload's resolv.conf. */
  resolvSearch: (namespace: string) => readonly string[];
  /** Null: the gateway, an address that no DNS server needs to have, as the agent answers whatever goes to port 53. */
  nameservers: readonly string[] | null;
  /** Interfaces to other nodes and the world; null: those that routes with a gateway use when the node is prepared. */
  uplinks: readonly string[] | null;
  /** What leaves the node for other destinations than these gets the node's own source address; null: nothing does. */
  egressNat: { excluded: readonly Cidr[] } | null;
  /** Null: the kernel's default, 1500. */
  mtuBytes: number | null;
  log: Log;
};

/** `degraded`: a sentence for each thing that could not be had, with what is lost by it. */
export type NodeReadiness = { ipv6: boolean; degraded: readonly string[] };
