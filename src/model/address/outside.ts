import { type IpAddress, specialUseOf, tryParseIp } from './ip.ts';

/**
 * Where clouds tell a machine its own secrets, beside the link-local addresses: AWS over IPv6, Alibaba Cloud, and Oracle Cloud before it
 * had a link-local one.
 */
const METADATA_SERVICES = new Set(['fd00:ec2::254', '100.100.100.200', '192.0.0.192']);

/** An IPv4 address that a gateway takes for what it is (RFC 6052), or that 6to4 carries. */
const EMBEDDED: readonly { readonly prefix: RegExp; readonly at: number }[] = [
  { prefix: /^0064ff9b0000000000000000/, at: 24 },
  { prefix: /^2002/, at: 4 },
];

/**
 * Why an address that somebody wrote, or that a name leads to, is not to be asked on his behalf: `loopback`, `link-local`, `a metadata
 * service`. Null: it may be asked.
 */
export function whyNotAsked(ip: IpAddress): string | null {
  if (METADATA_SERVICES.has(ip)) return 'a metadata service';
  const special = specialUseOf(ip);
  if (special !== null) return special;
  const inside = embeddedIn(ip);
  return inside === null ? null : whyNotAsked(inside);
}

/** The IPv4 address that an IPv6 address stands for. */
function embeddedIn(ip: IpAddress): IpAddress | null {
  if (!ip.includes(':')) return null;
  const digits = groupsOf(ip).join('');
  for (const { prefix, at } of EMBEDDED) {
    if (!prefix.test(digits)) continue;
    const bytes = [0, 2, 4, 6].map((offset) => Number.parseInt(digits.slice(at + offset, at + offset + 2), 16));
    return tryParseIp(bytes.join('.'));
  }
  return null;
}

/** The eight groups of a canonical IPv6 address, four digits each. */
function groupsOf(ip: string): string[] {
  const [head = '', tail] = ip.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].map((group) => group.padStart(4, '0'));
}
