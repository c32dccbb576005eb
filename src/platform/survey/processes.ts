import { resolve } from 'node:path';
import { argumentsOf, directoryOf } from '#platform/linux/process/processes.ts';

/** How an agent reaches its control plane; paths are absolute. */
export type Join = { address: string; rootFile: string; tokenFile: string; serverName: string | null };

/** How a running agent was told to reach its control plane; none where that cannot be seen. */
export function joinsOf(pid: number): Join[] {
  const [address, rootFile, tokenFile, serverName] = ['--control', '--control-root', '--token-file', '--control-server-name'].map(
    (option) => optionOf(pid, option),
  );
  if (address == null || rootFile == null || tokenFile == null) return [];
  return [{ address, rootFile: pathOf(pid, rootFile), tokenFile: pathOf(pid, tokenFile), serverName: serverName ?? null }];
}

/** The state directory of a running control plane; `usual`: where it is unless it was told. */
export function stateDirOf(pid: number, usual: string): string {
  const told = optionOf(pid, '--state-dir');
  return told === null ? usual : pathOf(pid, told);
}

/** The directory that a running control plane reads its resources from; null where that cannot be seen. */
export function configOf(pid: number): string | null {
  const told = optionOf(pid, '--config');
  return told === null ? null : pathOf(pid, told);
}

function optionOf(pid: number, option: string): string | null {
  const words = argumentsOf(pid);
  const at = words.indexOf(option);
  if (at >= 0) return words[at + 1] ?? null;
  return words.find((word) => word.startsWith(`${option}=`))?.slice(option.length + 1) ?? null;
}

function pathOf(pid: number, path: string): string {
  return resolve(directoryOf(pid) ?? '/', path);
}
