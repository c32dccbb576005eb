import { Command, Option } from 'commander';
import { PORT } from '#model/mesh/ports.ts';
import { DEFAULT_PATH_NORMALIZATION, PATH_NORMALIZATIONS } from '#model/waypoint/config.ts';
import {
  cidrReader,
  type HostPort,
  readHostPort,
  readHostPortOrOff,
  readNamedService,
  readTrustDomain,
} from './option-values.ts';

/** What a command does once its arguments are valid. */
export type Act<Options> = (options: Options) => Promise<void>;

/** One line of the examples under a command's help. */
export type Example = { command: string; does: string };

/** A command with its place in the list of commands, its sentence and its examples. */
export function makeCommand(name: string, group: string, summary: string, examples: readonly Example[]): Command {
  const lines = examples.map(({ command, does }) => `  # ${does}\n  ${command}`);
  return new Command(name)
    .summary(summary)
    .description(`${summary}.`)
    .helpOption('-h, --help', 'show this help')
    .helpGroup(group)
    .addHelpText('after', lines.length === 0 ? '' : `\nExamples:\n${lines.join('\n\n')}`);
}

/** The forms for programs, the same for every command that shows something. */
export type DataFormat = 'json' | 'yaml';

/** `-o`: how a result is printed; `forms` are those for people, the usual one first. */
export function outputOption(...forms: readonly [string, ...string[]]): Option {
  return new Option('-o, --output <format>', 'how it is printed').choices([...forms, 'json', 'yaml']).default(forms[0]);
}

/** A result in a form for programs. */
export async function formatData(value: unknown, format: DataFormat): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  const { yamlText } = await import('./yaml.ts'); // an agent reads these options, too, and writes no YAML
  return yamlText(value);
}

/** Where nobody has to say --run-dir. */
export const USUAL_RUN_DIR = '/run/weft';

/** Where sockets and other files that live as long as the processes lie. */
export function runDirOption(): Option {
  return new Option('--run-dir <dir>', 'where sockets and other short-lived files are').default(USUAL_RUN_DIR);
}

/** Where nobody has to say --state-dir. */
export const USUAL_STATE_DIR = '/var/lib/weft';

/** Where what must outlive a restart lies. */
export function stateDirOption(): Option {
  return new Option('--state-dir <dir>', "where the certificate authority's key and other lasting files are").default(
    USUAL_STATE_DIR,
  );
}

/** `--path-normalization`: one for the whole mesh, since a path must mean the same at every waypoint. */
export function pathNormalizationOption(): Option {
  return new Option('--path-normalization <level>', 'which spellings of a path waypoints take for one')
    .choices(PATH_NORMALIZATIONS)
    .default(DEFAULT_PATH_NORMALIZATION);
}

/** `--rate-limit-service`: who counts for the whole mesh. */
export function rateLimitServiceOption(): Option {
  return new Option(
    '--rate-limit-service <namespace/name:port>',
    'who counts for TrafficPolicies with scope Global that name no service',
  ).argParser(readNamedService);
}

/** The name of the mesh in every identity. */
export function trustDomainOption(): Option {
  return new Option('--trust-domain <domain>', 'the mesh part of every identity')
    .argParser(readTrustDomain)
    .default('cluster.local');
}

/** The pools of a node where nobody names others. */
export const USUAL_POOLS = { pool4: '10.41.0.0/24', pool6: 'fd41:0:0:1::/64' } as const;

/** Addresses for workloads of `weft run`, IPv4. */
export function pool4Option(): Option {
  return new Option('--pool4 <cidr>', 'IPv4 addresses for the workloads of weft run')
    .argParser(cidrReader(4))
    .default(USUAL_POOLS.pool4);
}

/** Addresses for workloads of `weft run`, IPv6. */
export function pool6Option(): Option {
  return new Option('--pool6 <cidr>', 'IPv6 addresses for the workloads of weft run')
    .argParser(cidrReader(6))
    .default(USUAL_POOLS.pool6);
}

/** The control plane's own socket on its machine. */
export function controlSocketOption(): Option {
  return new Option('--socket <path>', "the control plane's socket on this machine").default('/run/weft/control.sock');
}

/** Where the machine-readable result goes. */
export function jsonFileOption(): Option {
  return new Option('--json <file>', 'also write the result to this file as JSON');
}

/** Where nobody has to say --listen. */
export const USUAL_LISTEN: HostPort = { host: '127.0.0.1', port: PORT.control };

/** Where the control plane serves agents. */
export function listenOption(): Option {
  return new Option('--listen <host:port>', 'where the control plane serves agents')
    .argParser(readHostPort)
    .default(USUAL_LISTEN, `${USUAL_LISTEN.host}:${USUAL_LISTEN.port}`);
}

/** Where a metrics page is served; the word for nowhere is off. */
export function statsOption(port: number): Option {
  return new Option('--stats <host:port>', 'where the metrics page /metrics is served, or off')
    .argParser(readHostPortOrOff)
    .default({ host: '127.0.0.1', port }, `127.0.0.1:${port}`);
}

/** Where bpf file systems are mounted, by custom of the kernel's documentation. */
export const USUAL_BPFFS = '/sys/fs/bpf';

/** Where eBPF maps and links are pinned. */
export function bpffsOption(): Option {
  return new Option('--bpffs <dir>', 'the bpf file system where maps and links are kept').default(USUAL_BPFFS);
}
