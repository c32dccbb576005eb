import { decode } from 'dns-packet';
import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { DNS } from '#model/settings/dns.ts';

/** An address that nameservers answered, and how long it holds. */
export type AnsweredAddress = { readonly ip: IpAddress; readonly ttlMs: number };

/**
 * The addresses that a reply has for a name, by way of its aliases: records of other names in it say nothing. At most as many as
 * connections are sent to; none of what cannot be read.
 */
export function answeredAddresses(reply: Buffer, name: string): AnsweredAddress[] {
  const answers = answersOf(reply);
  const owners = new Set([nameOf(name)]);
  for (let follows = true; follows && owners.size <= DNS.aliasesMax; ) {
    const before = owners.size;
    for (const answer of answers) if (answer.type === 'CNAME' && owners.has(nameOf(answer.name))) owners.add(nameOf(answer.data));
    follows = owners.size > before;
  }
  return answers
    .flatMap((answer) => {
      if ((answer.type !== 'A' && answer.type !== 'AAAA') || !owners.has(nameOf(answer.name))) return [];
      const ip = tryParseIp(answer.data);
      return ip === null ? [] : [{ ip, ttlMs: 1_000 * (answer.ttl ?? 0) }];
    })
    .slice(0, DNS.endpointAddressesMax);
}

function answersOf(reply: Buffer) {
  try {
    return decode(reply).answers ?? [];
  } catch {
    return []; // the app gets it as it is, and may be able to read it; it opens nothing
  }
}

function nameOf(text: string): string {
  return text.toLowerCase().replace(/\.$/, '');
}
