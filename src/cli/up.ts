import { join } from 'node:path';
import type { Command } from 'commander';
import { WeftError } from '#model/error.ts';
import type { NamedService } from '#model/mesh/service.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import { agentSocketPath, controlSocketPath, logsDirectory, upLockPath } from '#protocol/api/places.ts';
import { accessLogFormatOption } from './access-log.ts';
import {
  type Act,
  listenOption,
  makeCommand,
  pathNormalizationOption,
  pool4Option,
  pool6Option,
  rateLimitServiceOption,
  runDirOption,
  stateDirOption,
  trustDomainOption,
  USUAL_STATE_DIR,
} from './command.ts';
import { formatHostPort, formatNamedService, type HostPort, readName } from './option-values.ts';

/** What `weft up` is told. */
export type UpOptions = {
  /** Directory of YAML resources. */
  directory: string;
  runDir: string;
  stateDir: string;
  /** Null: named after the machine. */
  node: string | null;
  pool4: string;
  pool6: string;
  trustDomain: string;
  pathNormalization: PathNormalization;
  /** Null: nobody counts for global rate limits whose policies name nobody. */
  rateLimitService: NamedService | null;
  /** How waypoints write the lines of requests, in Envoy's words; null: as fields. */
  accessLogFormat: string | null;
  /** Where the control plane serves agents. */
  listen: HostPort;
  /** Leaves the mesh running in the background once it is up. */
  detach: boolean;
};

type Parsed = Omit<UpOptions, 'directory' | 'node' | 'rateLimitService' | 'accessLogFormat'> & {
  node?: string;
  rateLimitService?: NamedService;
  accessLogFormat?: string;
};

/** `weft up`: the whole mesh on one machine. */
export function upCommand(act: Act<UpOptions>): Command {
  return makeCommand('up', 'Mesh:', 'Run the whole mesh on this machine', [
    { command: 'weft up mesh/', does: 'serve the YAML files in mesh/; a change applies as soon as a file is saved' },
    {
      command: 'weft run --user www-data --name web --service-account web -- python3 web.py',
      does: 'then, in another terminal, start a process in the mesh',
    },
    { command: 'weft up --detach mesh/', does: 'the same in the background, with its log in the state directory' },
  ])
    .description(
      'Run the whole mesh on this machine in the foreground: the control plane, one agent, and the waypoints that the resources in DIR ask for. Ctrl-C stops it and removes everything it put into the kernel; so do SIGTERM and the end of the terminal. Parts of the same mesh that still run, since an earlier weft up was killed, are taken on.',
    )
    .argument('<dir>', 'directory of YAML resources, watched for changes')
    .option('--node <name>', "this machine's name in the mesh (default: its hostname)", readName)
    .addOption(pool4Option())
    .addOption(pool6Option())
    .addOption(trustDomainOption())
    .addOption(pathNormalizationOption())
    .addOption(rateLimitServiceOption())
    .addOption(accessLogFormatOption())
    .addOption(listenOption())
    .addOption(runDirOption())
    .addOption(stateDirOption())
    .option('-d, --detach', 'go on in the background once the mesh is up', false)
    .action((directory: string, { node, rateLimitService, accessLogFormat, ...rest }: Parsed) =>
      act({
        ...rest,
        directory,
        node: node ?? null,
        rateLimitService: rateLimitService ?? null,
        accessLogFormat: accessLogFormat ?? null,
      }),
    );
}

/** Where the parts of one machine's mesh meet, and how each is started. */
export type MeshPlan = {
  node: string;
  controlSocket: string;
  agentSocket: string;
  /** File whose lock the process has that keeps the mesh up. */
  lockFile: string;
  /** What it tells when it is in the background. */
  logFile: string;
  /** Directory of this node below the run directory. */
  nodeDir: string;
  /** PEM file of the control plane's root certificate, for the agent. */
  rootFile: string;
  /** File of the agent's token; as secret as a password. */
  tokenFile: string;
  /** What the agent's token says: on one machine it is trusted with all of it. */
  grant: NodeGrant;
  controlArgs: readonly string[];
  agentArgs: readonly string[];
  cleanupArgs: readonly string[];
};

/** Plans a mesh on one machine; `hostname` names the node unless the options do. Pure. */
export function planMesh(options: UpOptions, hostname: string): MeshPlan {
  const node = options.node ?? nodeNameOf(hostname);
  const { runDir, stateDir, trustDomain, pathNormalization, rateLimitService: counter, accessLogFormat } = options;
  const listen = formatHostPort(options.listen);
  const controlSocket = controlSocketPath(runDir);
  const agentSocket = agentSocketPath(runDir, node);
  const nodeDir = join(runDir, node);
  const rootFile = join(nodeDir, 'control-root.pem');
  const tokenFile = join(nodeDir, 'token');
  const place = ['--node', node, '--run-dir', runDir, '--pool4', options.pool4, '--pool6', options.pool6];
  return {
    node,
    controlSocket,
    agentSocket,
    lockFile: upLockPath(runDir, node),
    logFile: join(logsDirectory(stateDir), 'up.log'),
    nodeDir,
    rootFile,
    tokenFile,
    grant: { identities: ['*/*'], addresses: [options.pool4, options.pool6], waypoints: true },
    controlArgs: [
      ...['control', '--config', options.directory, '--state-dir', stateDir, '--listen', listen],
      ...['--trust-domain', trustDomain, '--path-normalization', pathNormalization],
      ...(counter === null ? [] : ['--rate-limit-service', formatNamedService(counter)]),
      ...(accessLogFormat === null ? [] : ['--access-log-format', accessLogFormat]),
      ...['--waypoint-agent', agentSocket, '--socket', controlSocket],
    ],
    agentArgs: [
      'agent',
      ...place,
      '--trust-domain',
      trustDomain,
      '--control',
      listen,
      '--control-root',
      rootFile,
      '--token-file',
      tokenFile,
      // It starts beside the control plane, which makes them.
      '--wait',
      '1m',
    ],
    cleanupArgs: ['agent', ...place, '--cleanup'],
  };
}

/** A host's name as a node may be called: lower case, and nothing but letters, digits, `-` and `.`. */
export function nodeNameOf(hostname: string): string {
  const name = hostname
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '');
  return name === '' ? 'node' : name;
}

/** Where nobody has to say --run-dir. */
const USUAL_RUN_DIR = '/run/weft';

/** What `weft up` says once everything is up: what runs, and what can be tried in another terminal. */
export function welcome({ directory, listen, runDir, stateDir, detach }: UpOptions, { node, logFile }: MeshPlan): string {
  const place = runDir === USUAL_RUN_DIR ? '' : ` --run-dir ${runDir}`;
  return [
    '',
    `The mesh is up: node ${node}, control plane on ${formatHostPort(listen)}, resources from ${directory}.`,
    'In another terminal:',
    `  weft run${place} --user nobody --name web --service-account web --label app=web -- python3 -m http.server 8080`,
    `  weft status${place}`,
    ...(detach
      ? [`Its log is ${logFile}. This ends it:`, `  weft uninstall --yes --keep-state${place}${statePlace(stateDir)}`]
      : ['Ctrl-C here ends it and removes everything.']),
    '',
    '',
  ].join('\n');
}

function statePlace(stateDir: string): string {
  return stateDir === USUAL_STATE_DIR ? '' : ` --state-dir ${stateDir}`;
}

/** A part that ended for good, and how: in words, and as the exit code that follows from it. */
export type Departed = { name: string; ending: string; exitCode: number };

/**
 * The sentence for a mesh that ends because a part of it was told to leave.
 * Errors: WEFT_UP_FAILED when the part broke. One that never worked is not tried again: it would break the same way.
 */
export function explainDeparture({ name, ending, exitCode }: Departed, wasUp: boolean): string {
  if (exitCode === 0) return `weft: ${name} was told to leave, so the mesh ends\n`;
  throw new WeftError('WEFT_UP_FAILED', `${name} ended ${ending}${wasUp ? '' : ' before the mesh was up'}`, {
    remedy: 'see what it told above',
  });
}
