import { type IpAddress, splitHostPort, tryParseIp } from '#model/address/ip.ts';

/**
 * The client's own address and port out of a `forwarded` header, if it names the peer's address: the peer's agent
 * is authenticated as the workload at that address, so it may say which of that workload's ports it speaks for.
 */
export function forwardedClient(header: string, peer: IpAddress): { ip: IpAddress; port: number } | null {
  const quoted = /(?:^|;|,)\s*for="([^"]{1,64})"/i.exec(header)?.[1];
  const address = quoted === undefined ? null : splitHostPort(quoted);
  const ip = address === null ? null : tryParseIp(address.host);
  return address !== null && ip === peer ? { ip, port: address.port } : null;
}
