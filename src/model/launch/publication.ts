import { familyOf, formatAddress, type IpAddress, parseIp, tryParseIp } from '#model/address/ip.ts';

/** A port of a machine that leads to a port of a workload. `ip`: the machine's address, or that which stands for all of a family. */
export type Publication = { readonly ip: IpAddress; readonly hostPort: number; readonly port: number };

/** All addresses of the machine, IPv4: programs that find nobody at its IPv6 loopback go on to the other. */
const EVERYWHERE = '0.0.0.0';

/** Why a text is no publication: not of the form, or of a protocol that is not carried. */
export type NoPublication = 'form' | 'protocol';

/** Reads `[IP:]HOSTPORT:PORT[/tcp]`, an IPv6 address in brackets. */
export function readPublication(text: string): Publication | NoPublication {
  const [, ip = EVERYWHERE, hostPort = '', port = '', protocol = 'tcp'] =
    /^(?:(\[[^\]]+\]|[^:[\]]+):)?(\d{1,5}):(\d{1,5})(?:\/(\w+))?$/.exec(text) ?? [];
  const address = tryParseIp(ip.replace(/^\[|\]$/g, ''));
  const isForm = address !== null && ip.startsWith('[') === (familyOf(address) === 6) && isPort(hostPort) && isPort(port);
  if (!isForm) return 'form';
  return protocol === 'tcp' ? { ip: address, hostPort: Number(hostPort), port: Number(port) } : 'protocol';
}

function isPort(text: string): boolean {
  return Number(text) >= 1 && Number(text) <= 65_535;
}

/** `0.0.0.0:8080->80/tcp`, as container tools show it. */
export function formatPublication({ ip, hostPort, port }: Publication): string {
  return `${formatAddress(ip, hostPort)}->${port}/tcp`;
}

/** Takes publications out of what is outside: null when it is no list of them. */
export function parsePublications(value: unknown): Publication[] | null {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return null;
  const found = value.map((one: Partial<Record<keyof Publication, unknown>>): Publication | null => {
    const ip = typeof one?.ip === 'string' ? tryParseIp(one.ip) : null;
    const isWhole = ip !== null && isPort(String(one.hostPort)) && isPort(String(one.port));
    return isWhole ? { ip: parseIp(ip), hostPort: Number(one.hostPort), port: Number(one.port) } : null;
  });
  const whole = found.filter((one) => one !== null);
  return whole.length === found.length ? whole : null;
}
