import { type Command, InvalidArgumentError, Option } from 'commander';
import { readVariable, type Variable } from '#model/launch/environment.ts';
import { type Limits, readCpus, readMemory } from '#model/launch/limits.ts';
import { type Publication, readPublication } from '#model/launch/publication.ts';
import { NO_RESTART, type RestartPolicy, readRestartPolicy } from '#model/launch/restart-policy.ts';

/** How the command of a workload is started, beside what it may do. */
export type LaunchWishes = Limits & {
  /** Variables beside those of who calls; the last of a name wins, and any of them over the files. */
  env: readonly Variable[];
  envFiles: readonly string[];
  /** Null: where who calls is. */
  workdir: string | null;
  /** How many of the caller's descriptors from 3 on the command gets. */
  preserveFds: number;
  restart: RestartPolicy;
  published: readonly Publication[];
};

/** As a shell would start it. */
export const PLAIN_LAUNCH: LaunchWishes = {
  env: [],
  envFiles: [],
  workdir: null,
  preserveFds: 0,
  restart: NO_RESTART,
  published: [],
  memoryBytes: null,
  cpus: null,
};

/** What commander makes of these options. */
export type ParsedLaunch = {
  env: readonly Variable[];
  envFile: readonly string[];
  workdir?: string;
  memory?: number;
  cpus?: number;
  preserveFds: number;
  restart: RestartPolicy;
  publish: readonly Publication[];
};

/** Adds the options that say how a command is started. */
export function withLaunchOptions(command: Command): Command {
  return command
    .option('-e, --env <name=value>', 'a variable for the command, or NAME alone to pass one on; repeat for more', collectEnv, [])
    .option('--env-file <file>', 'variables from a file, one NAME=VALUE a line; repeat for more', collectFile, [])
    .option(
      '-p, --publish <[ip:]port:port>',
      'lead a TCP port of this machine to one of its own; repeat for more',
      collectPublication,
      [],
    )
    .option('-w, --workdir <dir>', 'the directory that the command starts in (default: the present one)')
    .option('-m, --memory <bytes>', 'how much memory it may use, without swap, such as 512m or 2g', readMemoryOption)
    .option('--cpus <number>', 'how much processor time it may use, such as 0.5 for half of one', readCpusOption)
    .option('--preserve-fds <n>', 'give it descriptors 3 to 2+N, with LISTEN_FDS and LISTEN_PID as systemd does', readFds, 0)
    .addOption(
      new Option('--restart <policy>', 'start it again: no, on-failure, on-failure:TIMES, always or unless-stopped')
        .argParser(readRestart)
        .default(NO_RESTART, 'no'),
    );
}

/** Takes them out of what commander made. */
export function takeLaunch<Rest extends object>(parsed: Rest & ParsedLaunch): LaunchWishes & Omit<Rest, keyof ParsedLaunch> {
  const { env, envFile, workdir, memory, cpus, preserveFds, restart, publish, ...rest } = parsed;
  const limits = { memoryBytes: memory ?? null, cpus: cpus ?? null };
  return { ...rest, ...limits, env, envFiles: envFile, workdir: workdir ?? null, preserveFds, restart, published: publish };
}

/** Collects variables. */
export function collectEnv(text: string, before: readonly Variable[]): Variable[] {
  const variable = readVariable(text);
  if (variable === null) throw new InvalidArgumentError('Write NAME=VALUE, or NAME to pass on one of yours.');
  return [...before, variable];
}

function readRestart(text: string): RestartPolicy {
  const policy = readRestartPolicy(text);
  if (policy === null)
    throw new InvalidArgumentError('Write no, on-failure, on-failure:TIMES such as on-failure:3, always or unless-stopped.');
  return policy;
}

function collectPublication(text: string, before: readonly Publication[]): Publication[] {
  const found = readPublication(text);
  if (found === 'protocol') throw new InvalidArgumentError('TCP alone can be published: write HOSTPORT:PORT, such as 8080:80.');
  if (found === 'form')
    throw new InvalidArgumentError('Write [IP:]HOSTPORT:PORT, such as 8080:80, 127.0.0.1:8080:80 or [::]:8080:80.');
  return [...before, found];
}

function collectFile(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

function readMemoryOption(text: string): number {
  const bytes = readMemory(text);
  if (bytes === null) throw new InvalidArgumentError('Write a number and b, k, m, g or t, at least 6m, such as 512m.');
  return bytes;
}

function readCpusOption(text: string): number {
  const cpus = readCpus(text);
  if (cpus === null) throw new InvalidArgumentError('Write a number of processors, at least 0.01, such as 0.5 or 2.');
  return cpus;
}

/** Fixed by the shell that starts a command: descriptors of one digit, and the last of them is its own. */
const FDS_MAX = 6;

function readFds(text: string): number {
  const count = /^\d$/.test(text) ? Number(text) : Number.NaN;
  if (!(count <= FDS_MAX)) throw new InvalidArgumentError(`Write a number from 0 to ${FDS_MAX}.`);
  return count;
}
