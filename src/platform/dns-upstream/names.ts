import { Resolver } from 'node:dns/promises';
import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { DNS } from '#model/settings/dns.ts';
import type { Nameserver } from './resolv-conf.ts';

/** Errors of c-ares that say that there is nothing, rather than that nobody knows. */
const NOTHING: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);

/**
 * The addresses of a name, and for how long they hold, in milliseconds. `nameservers` empty: those of resolv.conf as it is now.
 * Errors: those of node:dns when no nameserver says anything.
 */
export async function resolveName(
  name: string,
  nameservers: readonly Nameserver[],
): Promise<{ addresses: IpAddress[]; ttlMs: number }> {
  const resolver = new Resolver({ timeout: DNS.tryMsMax, tries: DNS.attempts });
  if (nameservers.length > 0) resolver.setServers(nameservers.map(({ address, port }) => serverOf(address, port)));
  const found = await Promise.all([
    records(() => resolver.resolve4(name, { ttl: true })),
    records(() => resolver.resolve6(name, { ttl: true })),
  ]);
  const all = found.flat();
  const addresses = all.map(({ address }) => tryParseIp(address)).filter((ip) => ip !== null);
  return { addresses, ttlMs: all.length === 0 ? 0 : 1_000 * Math.min(...all.map(({ ttl }) => ttl)) };
}

function serverOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

async function records(ask: () => Promise<{ address: string; ttl: number }[]>): Promise<{ address: string; ttl: number }[]> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Error && 'code' in error && NOTHING.has(String(error.code))) return [];
    throw error;
  }
}
