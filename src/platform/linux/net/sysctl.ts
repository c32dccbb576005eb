import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';

/** A kernel setting below /proc/sys/net that was changed, and to what. */
export type SysctlChange = { name: string; before: string; after: string };

/** A setting below /proc/sys/net, and the value it should have. */
export type SysctlWish = { name: string; value: string };

const ROOT = '/proc/sys/net';

/** The value of a setting of this process's network namespace; null when there is no such setting. */
export async function readSysctl(name: string): Promise<string | null> {
  return readFile(join(ROOT, name), 'utf8').then(
    (text) => text.trim(),
    () => null,
  );
}

/** Errors: WEFT_SANDBOX_SYSCTL. */
export async function writeSysctl(name: string, value: string): Promise<void> {
  try {
    await writeFile(join(ROOT, name), value, { flag: 'r+' });
  } catch (error) {
    throw new WeftError('WEFT_SANDBOX_SYSCTL', `cannot set ${join(ROOT, name)} to ${value}`, {
      remedy: 'run as root, where /proc/sys is writable',
      cause: error,
    });
  }
}

/**
 * What `wishes` change, together with what was changed before: a setting changed twice keeps its first value, so that a
 * restarted agent does not take its own setting for the machine's.
 */
export async function planChanges(
  wishes: readonly SysctlWish[],
  earlier: readonly SysctlChange[],
): Promise<readonly SysctlChange[]> {
  const changes = new Map(earlier.map((change) => [change.name, change]));
  for (const { name, value } of wishes) {
    const known = changes.get(name);
    const before = known?.before ?? (await readSysctl(name));
    if (before !== null) changes.set(name, { name, before, after: value });
  }
  return [...changes.values()];
}

/** Makes the settings what `changes` say. Errors: WEFT_SANDBOX_SYSCTL. */
export async function applyChanges(changes: readonly SysctlChange[]): Promise<void> {
  for (const { name, after } of changes) {
    const now = await readSysctl(name);
    if (now !== null && now !== after) await writeSysctl(name, after);
  }
}

/** Puts settings back, last change first; one that another program has changed since is left alone, one that is gone too. */
export async function restoreChanges(changes: readonly SysctlChange[]): Promise<void> {
  const ours: SysctlChange[] = [];
  // Looked at before the first is written: writing `all` changes what it stands for.
  for (const change of changes) if ((await readSysctl(change.name)) === change.after) ours.unshift(change);
  for (const { name, before } of ours) if ((await readSysctl(name)) !== before) await writeSysctl(name, before);
}

/** Lets packets that arrive by these interfaces, and only by these where the kernel can tell, be forwarded. */
export async function forwardingWishes(interfaces: readonly string[], ipv6: boolean): Promise<readonly SysctlWish[]> {
  const wishes = interfaces.map((name) => ({ name: `ipv4/conf/${name}/forwarding`, value: '1' }));
  if (!ipv6) return wishes;
  const oneByOne = (await readSysctl('ipv6/conf/all/force_forwarding')) !== null;
  if (oneByOne) return [...wishes, ...interfaces.map((name) => ({ name: `ipv6/conf/${name}/force_forwarding`, value: '1' }))];
  return [...wishes, ...(await globalForwarding6())];
}

/**
 * Before Linux 6.17 IPv6 forwards for all interfaces or none, and turning it on makes each of them a router that ignores
 * router advertisements, unless told (accept_ra 2) to go on with them: a host must not lose its default route by us.
 */
export async function globalForwarding6(): Promise<readonly SysctlWish[]> {
  const interfaces = (await readdir(join(ROOT, 'ipv6/conf'))).filter((name) => name !== 'all' && name !== 'default');
  const listening: SysctlWish[] = [];
  for (const name of interfaces) {
    const accepts = await readSysctl(`ipv6/conf/${name}/accept_ra`);
    if (accepts === '1') listening.push({ name: `ipv6/conf/${name}/accept_ra`, value: '2' });
  }
  // Those below `all` follow it; they are listed to be put back one by one, should they have differed from it.
  const followers = ['default', ...interfaces].map((name) => ({ name: `ipv6/conf/${name}/forwarding`, value: '1' }));
  return [...listening, ...followers, { name: 'ipv6/conf/all/forwarding', value: '1' }];
}
