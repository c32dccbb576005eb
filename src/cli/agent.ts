import { type Command, Option } from 'commander';
import { familyOf, parseIp, tryParseCidr } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { type Act, bpffsOption, makeCommand, runDirOption, statsOption, trustDomainOption } from './command.ts';
import {
  cidrReader,
  collectCidr,
  collectDnsUpstream,
  type DnsUpstream,
  type HostPort,
  readAddresses,
  readDurationSeconds,
  readHostPortOrOff,
  readName,
  readThreads,
} from './option-values.ts';
import { type CniFolders, cniFolders, type PodsParsed, podOptions } from './pod-options.ts';

/** How an agent reaches its control plane. */
export type ControlAccess = {
  /** `host:port`, of several control planes divided by commas. */
  address: string;
  /** PEM file with the root certificate of the control plane. */
  rootFile: string;
  /** File with the token that proves the node's name. */
  tokenFile: string;
  /** The name that its certificate carries; null: the host that is dialled. */
  serverName: string | null;
};

/** Where an agent works on its machine. */
export type AgentPlace = {
  node: string;
  runDir: string;
  /** Mount point of a bpf file system; mounted there if it is none. */
  bpffs: string;
  /** cgroup v2 directory of the node, made if missing; null: weft/<node> below the mount. */
  cgroup: string | null;
  /** Addresses for what it starts; '': it starts nothing, and takes the pods of a cluster into the mesh. */
  pool4: string;
  pool6: string;
};

/** What `weft agent` is told. */
export type AgentOptions = Omit<AgentPlace, 'pool4' | 'pool6'> & {
  /** Null: those that the token names; '': none, as it takes the pods of a cluster into the mesh. */
  pool4: string | null;
  pool6: string | null;
} & (
    | {
        kind: 'run';
        control: ControlAccess;
        /** How long the files of `control` may take to come; null: they are there. */
        waitSeconds: number | null;
        trustDomain: string;
        /** What becomes of datagrams to workloads of other nodes, which nothing encrypts. */
        udpBetweenNodes: UdpBetweenNodes;
        /** Follows of the mesh what its workloads need, and nothing else. */
        onDemand: boolean;
        /** Empty: those of the machine's resolv.conf. */
        dnsUpstreams: readonly DnsUpstream[];
        /** Lets workloads of the pools reach addresses outside them. */
        egressNat: boolean;
        /** Ranges that are reached without address translation. */
        noNatFor: readonly string[];
        /** Takes the node over from the agent that runs. */
        replace: boolean;
        /** Where the metrics page is served; null: nowhere. */
        stats: HostPort | null;
        /** Where probes ask whether it serves, and where its configuration is shown; null: nowhere. */
        health: HostPort | null;
        admin: HostPort | null;
        /** File of revocation lists; null: nobody is revoked. */
        crl: string | null;
        /** Where its plugin stands in the chain of the node's network; null: it has none. */
        cni: CniFolders | null;
        /** How long it carries what it carries when another agent has the node, also after a signal; null: as on a host. */
        drain: { carryMs: number } | null;
        /** Unix socket where a probe of its own pod asks; null: none does. */
        readySocket: string | null;
        /** Threads that carry connections; 0: the agent's own does; null: as many as the machine has cores, less one. */
        threads: number | null;
      }
    /** Removes what an agent of this node left, then ends. */
    | { kind: 'cleanup' }
  );

type UdpBetweenNodes = 'refuse' | 'allow-plaintext';

type Parsed = PodsParsed &
  Omit<AgentPlace, 'cgroup' | 'pool4' | 'pool6'> & {
    cgroup?: string;
    pool4?: string;
    pool6?: string;
    control?: string;
    trustDomain: string;
    udpBetweenNodes: UdpBetweenNodes;
    onDemand: boolean;
    controlRoot?: string;
    tokenFile?: string;
    controlServerName?: string;
    wait?: number;
    dnsUpstream: readonly DnsUpstream[];
    egressNat: boolean;
    noNatFor: readonly string[];
    stats: HostPort | 'off';
    health: HostPort | 'off';
    admin: HostPort | 'off';
    crl?: string;
    replace: boolean;
    threads?: number;
    cleanup: boolean;
  };

type Reach = Pick<Parsed, 'control' | 'controlRoot' | 'tokenFile' | 'controlServerName'>;

/** `weft agent`: the agent of one node. */
export function agentCommand(act: Act<AgentOptions>): Command {
  const command = makeCommand('agent', 'Parts of a mesh of several machines:', 'Run the agent of this node', [
    {
      command: 'weft agent --node node-2 --control 10.0.0.1:15012 --control-root root.pem --token-file token',
      does: 'join the mesh of the control plane on 10.0.0.1',
    },
    { command: 'weft agent --node node-2 --cleanup', does: 'remove everything an agent of this node left in the kernel' },
  ])
    .description(
      'Run the agent of this node in the foreground. Connections that the kernel carries alone go on when it stops; --cleanup, or weft uninstall, takes the node out of the mesh.',
    )
    .usage('--node <name> --control <host:port> --control-root <file> --token-file <file> [options]')
    .requiredOption('--node <name>', "this node's name in the mesh", readName)
    .option('--control <host:port,...>', 'where the control plane listens; of several, all of them', readAddresses)
    .option('--control-root <file>', "PEM file with the control plane's root certificate")
    .option(
      '--control-server-name <name>',
      "name in the control plane's certificate, where that is not the host that is dialled",
      readName,
    )
    .option('--token-file <file>', 'file with the token that weft token printed for this node')
    .option(
      '--wait <duration>',
      'wait so long for the files of --control-root and --token-file to come, such as 60s (default: they must be there)',
      readDurationSeconds,
    )
    .option(
      '--crl <file>',
      'revocation lists, in PEM or DER: who shows a certificate on one is cut, and may not come again; followed',
    )
    .option('--cgroup <dir>', 'cgroup v2 directory for the processes of this node (default: weft/NODE below the mount)')
    .addOption(trustDomainOption())
    .addOption(poolOption(4))
    .addOption(poolOption(6))
    .option(
      '--dns-upstream <ip[:port]>',
      'DNS server for names outside the mesh; repeat for more (default: those of the machine)',
      collectDnsUpstream,
      [],
    )
    .addOption(udpBetweenNodesOption())
    .addOption(onDemandOption())
    .option('--no-egress-nat', 'do not translate addresses of workloads that call outside the mesh')
    .addOption(noNatForOption())
    .addOption(statsOption(PORT.stats))
    .option(
      '--health <host:port>',
      'where /healthz/ready and /healthz/live are served beside the metrics page, or off',
      readHostPortOrOff,
      'off',
    )
    .option(
      '--admin <host:port>',
      'where /config_dump is served, as istioctl ztunnel-config reads it, or off',
      readHostPortOrOff,
      'off',
    )
    .addOption(threadsOption())
    .addOption(runDirOption())
    .addOption(bpffsOption())
    .option(
      '--replace',
      'take the node over from its agent that runs: no connection is refused meanwhile, and those that it carries go on in it until they end',
      false,
    )
    .option('--cleanup', 'remove what an agent of this node left, then end', false)
    .action((parsed: Parsed, own: Command) => act(agentOptions(parsed, own)));
  for (const option of podOptions()) command.addOption(option);
  return command;
}

/** The control plane gives each node ranges of its own with its token, so these only narrow them. */
function poolOption(family: 4 | 6): Option {
  const sentence = `IPv${family} addresses for the workloads of weft run (default: those that the token names)`;
  return new Option(`--pool${family} <cidr>`, sentence).argParser(cidrReader(family));
}

/** Its name starts with `no-` without being a negation, which is what commander would take it for. */
function threadsOption(): Option {
  const option = new Option('--threads <count>', 'threads that carry connections; 0: the one that follows the mesh does');
  return option.default(undefined, 'the number of cores less one, at least 1').argParser(readThreads);
}

function udpBetweenNodesOption(): Option {
  const sentence = 'UDP to workloads of other nodes, which nothing encrypts: refuse it, or let it go in clear';
  return new Option('--udp-between-nodes <mode>', sentence).choices(['refuse', 'allow-plaintext']).default('refuse');
}

function onDemandOption(): Option {
  const sentence =
    "learn of the mesh only what this node's workloads connect to, when they do (ztunnel's XDS_ON_DEMAND); the first connection waits for the control plane";
  return new Option('--on-demand', sentence).default(false);
}

function noNatForOption(): Option {
  const option = new Option('--no-nat-for <cidr>', 'reach this range without address translation; repeat for more')
    .argParser(collectCidr)
    .default([]);
  option.negate = false;
  return option;
}

function agentOptions(parsed: Parsed, command: Command): AgentOptions {
  const { node, runDir, bpffs } = parsed;
  const place = { node, runDir, bpffs, ...toldPools(parsed, command), cgroup: parsed.cgroup ?? null };
  // Cleaning up reaches no control plane, so it must work without the three options that name one.
  if (parsed.cleanup) return { ...place, kind: 'cleanup' };
  const control = controlAccess(parsed, command);
  const { trustDomain, udpBetweenNodes, onDemand, dnsUpstream, egressNat, noNatFor, replace } = parsed;
  const { stats, health, admin, threads = null, wait = null } = parsed;
  return {
    ...place,
    kind: 'run',
    control,
    waitSeconds: wait,
    trustDomain,
    udpBetweenNodes,
    onDemand,
    dnsUpstreams: dnsUpstream,
    egressNat,
    noNatFor,
    replace,
    stats: stats === 'off' ? null : stats,
    health: health === 'off' ? null : health,
    admin: admin === 'off' ? null : admin,
    crl: parsed.crl ?? null,
    cni: cniFolders(parsed, command),
    drain: parsed.drain === undefined ? null : { carryMs: parsed.drain * 1_000 },
    readySocket: parsed.readySocket ?? null,
    threads,
  };
}

/** The pools that were named; ends with a usage error where there can be none. */
function toldPools(parsed: Parsed, command: Command): Pools {
  const { pool4 = null, pool6 = null } = parsed;
  if (!parsed.kubernetes) return { pool4, pool6 };
  if (pool4 !== null || pool6 !== null)
    return command.error('--pool4 and --pool6 are not for --kubernetes: pods have the addresses of their cluster');
  return { pool4: '', pool6: '' };
}

/** The options that reach the control plane; ends with a usage error that names all that are missing. */
export function controlAccess({ control, controlRoot, tokenFile, controlServerName }: Reach, command: Command): ControlAccess {
  if (control === undefined || controlRoot === undefined || tokenFile === undefined) {
    const given: Record<string, unknown> = { '--control': control, '--control-root': controlRoot, '--token-file': tokenFile };
    const missing = Object.keys(given).filter((flag) => given[flag] === undefined);
    return command.error(`required options not specified: ${missing.join(', ')}`);
  }
  return { address: control, rootFile: controlRoot, tokenFile, serverName: controlServerName ?? null };
}

/** The pool of an agent in each family, or null. */
type Pools = Pick<AgentOptions, 'pool4' | 'pool6'>;

/**
 * The pools of an agent: those of its command line, else the first range of each family that its token names.
 * Errors: WEFT_NO_POOL when neither names one.
 */
export function poolsOf({ pool4, pool6 }: Pools, grant: NodeGrant | null): Pick<AgentPlace, 'pool4' | 'pool6'> {
  const granted = (family: 4 | 6): string | null =>
    grant?.addresses.find((range) => familyOf(tryParseCidr(range)?.base ?? parseIp('::')) === family) ?? null;
  const [v4, v6] = [pool4 ?? granted(4), pool6 ?? granted(6)];
  if (v4 !== null && v6 !== null) return { pool4: v4, pool6: v6 };
  const missing = v4 === null ? '4' : '6';
  throw new WeftError('WEFT_NO_POOL', `the token of this node names no IPv${missing} addresses`, {
    remedy: `make a new one with weft token NODE, or name a range with --pool${missing}`,
  });
}
