import { type Command, Option } from 'commander';
import { PORT } from '#model/mesh/ports.ts';
import type { NamedService } from '#model/mesh/service.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { accessLogFormatOption } from './access-log.ts';
import {
  type Act,
  controlSocketOption,
  listenOption,
  makeCommand,
  pathNormalizationOption,
  rateLimitServiceOption,
  stateDirOption,
  statsOption,
  trustDomainOption,
} from './command.ts';
import { collect, type HostPort, readStoreUrl, readThreads, type StoreUrl } from './option-values.ts';
import { type TraceOptions, traceCollectorOption, traceSamplingOption, tracesOf } from './traces.ts';

/** What `weft control` is told. */
export type ControlOptions = {
  /** Directory of YAML resources; '' with a store or a cluster. */
  config: string;
  /** Several control planes over one etcd; null: not in an etcd. */
  store: StoreAccess | null;
  /** A cluster, by a kubeconfig or (null) as a pod of it; without it: not in a cluster. */
  cluster: ClusterOptions | null;
  stateDir: string;
  /** Directory with a given signer, laid out as Istio's secret cacerts; null: a root of its own. */
  caDir: string | null;
  /** Where agents connect. */
  listen: HostPort;
  /** Further names and addresses that agents may dial, for the server's certificate. */
  serverNames: readonly string[];
  trustDomain: string;
  pathNormalization: PathNormalization;
  /** Null: nobody counts for global rate limits whose policies name nobody. */
  rateLimitService: NamedService | null;
  /** Socket of the agent on this machine that runs the waypoints; null: no waypoints are started. */
  waypointAgent: string | null;
  /** Where they tell of the requests that they trace; null: they trace none. */
  traces: TraceOptions | null;
  /** How they write the lines of requests, in Envoy's words; null: as fields. */
  accessLogFormat: string | null;
  /** Data threads of each of them; null: as many as the machine has cores, less one. */
  waypointThreads: number | null;
  socket: string;
  /** Where the metrics page is served; null: nowhere. */
  stats: HostPort | null;
};

/** `autoWaypoints`: one is made where something needs it and nobody named one. */
export type ClusterOptions = { kubeconfig: string | null; waypointImage: string | null; autoWaypoints: boolean };

/** Where etcd is, and PEM files by which it is trusted and asked; caFile null: without TLS. */
export type StoreAccess = StoreUrl & { caFile: string | null; certFile: string | null; keyFile: string | null };

type ParsedControl = Omit<
  ControlOptions,
  | 'config'
  | 'caDir'
  | 'store'
  | 'cluster'
  | 'serverNames'
  | 'rateLimitService'
  | 'waypointAgent'
  | 'traces'
  | 'accessLogFormat'
  | 'waypointThreads'
  | 'stats'
> & {
  config?: string;
  caDir?: string;
  store?: StoreUrl;
  source?: 'directory' | 'kubernetes';
  kubeconfig?: string;
  waypointImage?: string;
  autoWaypoints: 'on' | 'off';
  storeCa?: string;
  storeCert?: string;
  storeKey?: string;
  stats: HostPort | 'off';
  serverName: readonly string[];
  rateLimitService?: NamedService;
  waypointAgent?: string;
  traceCollector?: string;
  traceSampling: number;
  accessLogFormat?: string;
  waypointThreads?: number;
};

/** `weft control`: the control plane alone. */
export function controlCommand(act: Act<ControlOptions>): Command {
  const command = makeCommand('control', 'Parts of a mesh of several machines:', 'Run the control plane', [
    {
      command: 'weft control --config mesh/ --listen 10.0.0.1:15012 --server-name 10.0.0.1',
      does: 'serve agents on other machines',
    },
    {
      command: "weft token node-2 --identity 'shop/*' > node-2.token",
      does: 'then make the token that the agent of node-2 needs',
    },
    {
      command: 'weft control --store etcd://10.0.0.5:2379,10.0.0.6:2379 --listen 10.0.0.1:15012 --server-name 10.0.0.1',
      does: 'be one of several control planes, which share what is in etcd',
    },
  ])
    .description(
      'Run the control plane in the foreground: it watches a directory of YAML resources, serves agents and waypoints what they need to know, and issues certificates.',
    )
    .usage('--config <dir> | --store <etcd://...> | --source kubernetes [options]')
    .option('--config <dir>', 'directory of YAML resources, watched for changes')
    .addOption(
      new Option(
        '--store <url>',
        'etcd://HOST:PORT,HOST:PORT[/PREFIX]: resources and state in etcd, for several control planes of which one leads and all serve',
      ).argParser(readStoreUrl),
    )
    .addOption(
      new Option(
        '--source <kind>',
        'kubernetes: resources are objects of a cluster, state is Secrets of the namespace istio-system, and of several control planes one leads by a Lease',
      ).choices(['directory', 'kubernetes']),
    )
    .option('--kubeconfig <file>', 'how to reach the cluster; without it by what its pods are given')
    .option(
      '--waypoint-image <image>',
      'image with weft as its entry point, by which a cluster runs waypoints; without it its Gateways get none',
    )
    .addOption(
      new Option(
        '--auto-waypoints <on|off>',
        'whether a namespace gets a waypoint when something there needs one (a route, a policy on requests) and names none',
      )
        .choices(['on', 'off'])
        .default('on'),
    )
    .option('--store-ca <file>', 'PEM file with the root by which etcd is trusted; without it no TLS')
    .option('--store-cert <file>', 'PEM file with the certificate that etcd asks for')
    .option('--store-key <file>', 'PEM file with its key')
    .option(
      '--ca-dir <dir>',
      "sign with a given intermediate: ca-cert.pem, ca-key.pem, cert-chain.pem, root-cert.pem, as Istio's secret cacerts",
    )
    .addOption(listenOption())
    .option('--server-name <name>', 'a name or address by which agents reach it; repeat for more', collect, [])
    .addOption(trustDomainOption())
    .addOption(pathNormalizationOption())
    .addOption(rateLimitServiceOption());
  return withWaypointOptions(command)
    .addOption(controlSocketOption())
    .addOption(stateDirOption())
    .addOption(statsOption(PORT.controlStats))
    .action((parsed: ParsedControl, command: Command) => act(controlOptions(parsed, command)));
}

/** Adds the options that say how waypoints are run. */
function withWaypointOptions(command: Command): Command {
  return command
    .option('--waypoint-agent <socket>', "socket of this machine's agent; without it no waypoints are started")
    .addOption(
      new Option('--waypoint-threads <count>', 'threads of each of them that serve; 0: the one that follows the mesh does')
        .default(undefined, 'the number of cores less one, at least 1')
        .argParser(readThreads),
    )
    .addOption(traceCollectorOption())
    .addOption(traceSamplingOption())
    .addOption(accessLogFormatOption());
}

/** Ends with a usage error when it is not said where the resources are, or said twice. */
function controlOptions(parsed: ParsedControl, command: Command): ControlOptions {
  const {
    config,
    caDir,
    store,
    source,
    kubeconfig,
    waypointImage,
    autoWaypoints,
    storeCa,
    storeCert,
    storeKey,
    serverName,
    rateLimitService,
    waypointAgent,
    traceCollector,
    traceSampling,
    accessLogFormat,
    waypointThreads,
    stats,
    ...rest
  } = parsed;
  const isCluster = source === 'kubernetes';
  if ([config !== undefined, store !== undefined, isCluster].filter((is) => is).length !== 1)
    return command.error('give one of --config, --store and --source kubernetes');
  if (kubeconfig !== undefined && !isCluster) return command.error('--kubeconfig is for --source kubernetes only');
  if (waypointImage !== undefined && !isCluster) return command.error('--waypoint-image is for --source kubernetes only');
  const files = [storeCa, storeCert, storeKey];
  if (store === undefined && files.some((file) => file !== undefined)) return command.error('--store-... is for --store only');
  if ((storeCert === undefined) !== (storeKey === undefined) || (storeCert !== undefined && storeCa === undefined))
    return command.error('--store-cert and --store-key go together, and with --store-ca');
  const [caFile = null, certFile = null, keyFile = null] = files;
  return {
    ...rest,
    config: config ?? '',
    caDir: caDir ?? null,
    store: store === undefined ? null : { ...store, caFile, certFile, keyFile },
    cluster: isCluster
      ? {
          kubeconfig: kubeconfig ?? null,
          waypointImage: waypointImage ?? null,
          autoWaypoints: waypointImage !== undefined && autoWaypoints === 'on',
        }
      : null,
    serverNames: serverName,
    rateLimitService: rateLimitService ?? null,
    waypointAgent: waypointAgent ?? null,
    traces: tracesOf(traceCollector, traceSampling),
    accessLogFormat: accessLogFormat ?? null,
    waypointThreads: waypointThreads ?? null,
    stats: stats === 'off' ? null : stats,
  };
}
