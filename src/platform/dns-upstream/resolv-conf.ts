import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Clock } from '#model/effects/clock.ts';
import { PORT } from '#model/mesh/ports.ts';
import { DNS } from '#model/settings/dns.ts';

/** `address` may carry an IPv6 zone (`fe80::1%eth0`). */
export type Nameserver = { address: string; port: number };

/** What forwarding needs of a resolv.conf; its search list is left out, as names come complete from the workload's resolver. */
export type ResolvConf = { nameservers: readonly Nameserver[]; timeoutMs: number; attempts: number };

/** The resolv.conf in force, read again when the file changed. */
export type ResolvConfSource = { current(): Promise<ResolvConf> };

/** Reads what it understands and skips the rest, as every resolver does. Errors: none. Source: resolv.conf(5). */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: Nameserver[] = [];
  let timeoutMs: number = DNS.resolverTimeoutMs;
  let attempts: number = DNS.attempts;
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    const [address = ''] = values;
    if (keyword === 'nameserver' && isIP(address) !== 0 && nameservers.length < DNS.nameserversMax) {
      nameservers.push({ address, port: PORT.nameserver });
    }
    if (keyword !== 'options') continue;
    timeoutMs = optionOf(values, 'timeout', 30, timeoutMs / 1_000) * 1_000;
    attempts = optionOf(values, 'attempts', 5, attempts);
  }
  return { nameservers, timeoutMs, attempts };
}

/** Follows the file at `path`, looking at it at most every 5 seconds; a missing file has no nameservers. */
export function followResolvConf(path: string, clock: Clock): ResolvConfSource {
  let known: { conf: ResolvConf; version: string; checkedMs: number } | null = null;
  return {
    async current() {
      const nowMs = clock.monotonicMs();
      if (known !== null && nowMs - known.checkedMs < DNS.recheckMs) return known.conf;
      const version = await versionOf(path);
      const conf = known?.version === version ? known.conf : parseResolvConf(await readFile(path, 'utf8').catch(() => ''));
      known = { conf, version, checkedMs: nowMs };
      return conf;
    },
  };
}

async function versionOf(path: string): Promise<string> {
  return stat(path).then(
    (file) => `${file.ino}/${file.size}/${file.mtimeMs}`,
    () => 'missing',
  );
}

function optionOf(values: readonly string[], name: string, max: number, fallback: number): number {
  const text = values.find((value) => value.startsWith(`${name}:`))?.slice(name.length + 1) ?? '';
  return /^\d+$/.test(text) ? Math.min(max, Math.max(1, Number(text))) : fallback;
}
