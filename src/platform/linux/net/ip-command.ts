import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { type CommandResult, missingProgram, runCommand } from '#platform/linux/process/command.ts';

/**
 * Runs several `ip` commands in one process, in the network namespace of that name or, when null, in this process's own.
 * They stop at the first that fails; those before it stay done. Errors: WEFT_SANDBOX_COMMAND, naming the one that failed
 * (all, where `ip` itself does not tell).
 */
export async function ipBatch(netnsName: string | null, lines: readonly string[]): Promise<void> {
  const where = netnsName === null ? [] : ['-n', netnsName];
  const result = await runCommand('ip', [...where, '-batch', '-'], `${lines.join('\n')}\n`);
  if (result.kind === 'done') return;
  const failedLine = result.kind === 'failed' ? /Command failed -:(\d+)/.exec(result.stderr)?.[1] : undefined;
  const line = failedLine === undefined ? `(${lines.join('; ')})` : (lines[Number(failedLine) - 1] ?? '');
  throw failure(result, `ip ${[...where, line].join(' ')}`);
}

/** Runs one `ip` command and gives its output. Errors: WEFT_SANDBOX_COMMAND. */
export async function ip(args: readonly string[]): Promise<string> {
  const result = await runCommand('ip', args);
  if (result.kind === 'done') return result.stdout;
  throw failure(result, `ip ${args.join(' ')}`);
}

/** The same for a command that may fail because what it names is already gone; null when it failed. */
export async function tryIp(args: readonly string[]): Promise<string | null> {
  const result = await runCommand('ip', args);
  if (result.kind === 'missing') throw failure(result, '');
  return result.kind === 'done' ? result.stdout : null;
}

/** What is used here of an interface, as `ip -j` prints it. */
export type Link = { name: string; master: string | null; mac: string; addresses: readonly IpAddress[] };

/** One interface; null when there is none of that name. */
export async function readLink(netnsName: string | null, name: string): Promise<Link | null> {
  const where = netnsName === null ? [] : ['-n', netnsName];
  const stdout = await tryIp([...where, '-j', 'addr', 'show', 'dev', name]);
  return stdout === null ? null : (parseLinks(stdout)[0] ?? null);
}

/** The alias of an interface of this process's network namespace ('' when it has none); null when there is no such interface. */
export async function readAlias(name: string): Promise<string | null> {
  const stdout = await tryIp(['-j', 'link', 'show', 'dev', name]); // `addr show` does not tell it
  return stdout === null ? null : (printedLinks(stdout)[0]?.ifalias ?? '');
}

/** The interfaces that belong to a bridge of this process's network namespace. */
export async function readPorts(bridge: string): Promise<readonly Link[]> {
  const stdout = await tryIp(['-j', 'addr', 'show', 'master', bridge]);
  return stdout === null ? [] : parseLinks(stdout);
}

type PrintedLink = { ifname?: string; master?: string; address?: string; ifalias?: string; addr_info?: { local?: string }[] };

function printedLinks(stdout: string): readonly PrintedLink[] {
  return stdout.trim() === '' ? [] : JSON.parse(stdout);
}

function parseLinks(stdout: string): readonly Link[] {
  return printedLinks(stdout)
    .filter((link) => link.ifname !== undefined) // `ip` prints {} for each one it filtered out
    .map((link) => ({
      name: link.ifname ?? '',
      master: link.master ?? null,
      mac: link.address ?? '',
      addresses: (link.addr_info ?? []).flatMap(({ local = '' }) => tryParseIp(local) ?? []),
    }));
}

function failure(result: CommandResult, command: string): WeftError {
  if (result.kind !== 'failed') return missingProgram('ip', 'iproute2');
  const reason = result.stderr.replace(/\n?Command failed .*$/, '').trim();
  return new WeftError('WEFT_SANDBOX_COMMAND', `"${command}" failed: ${reason}`, { remedy: remedyFor(reason) });
}

function remedyFor(reason: string): string {
  if (/not permitted|Permission denied/.test(reason)) return 'run as root (CAP_NET_ADMIN and CAP_SYS_ADMIN)';
  if (/Unknown device type|not supported/.test(reason))
    return 'load the kernel modules "bridge" and "veth" (modprobe bridge veth)';
  if (/File exists/.test(reason))
    return 'something of that name or address is there already: remove it, or choose another bridge name or pool';
  return 'run the command by hand to see more; "weft uninstall" clears what an earlier run may have left';
}
