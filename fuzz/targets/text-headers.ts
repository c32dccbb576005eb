import { formatAddress, parseIp, splitHostPort, tryParseCidr, tryParseIp } from '#model/address/ip.ts';
import { tryParseIdentity } from '#model/identity/identity.ts';
import { formatBaggage, parseBaggage } from '#model/telemetry/propagation.ts';
import { PATH_NORMALIZATIONS } from '#model/waypoint/config.ts';
import { forwardedClient, readConnect } from '#protocol/hbone/headers.ts';
import { isAuthority, normalizeTarget, splitAbsoluteTarget } from '#protocol/http/target.ts';
import { uriSans } from '#protocol/identity/spiffe.ts';
import { type FuzzTarget, require, requireSame } from '../target.ts';

const PEER = parseIp('10.0.0.9');

/** Texts inside headers and certificates: baggage, Forwarded, authorities, targets, SPIFFE ids. */
export const textTarget: FuzzTarget = {
  name: 'text-headers',
  tokens: [
    ...['k8s.namespace.name=', 'service.name=', 'k8s.deployment.name=', 'cloud.region=', ',', ';', '=', '%2C', '%', '"', '\\'],
    ...['for=', 'for="[::1]:80"', 'host=', 'by=', 'proto=', '[', ']', ':', '::ffff:', '/32', '0', '255.255.255.255'],
    ...['spiffe://', '/ns/', '/sa/', 'URI:', 'DNS:', ', ', '/../', '//', '%2e%2e', '#', '?', 'http://', '*'],
    ...['/..;', '%2f', '%5c', '%3b', '\\', '%c0%ae'],
  ],
  check(bytes, cut) {
    const text = bytes.toString('latin1');
    const written = formatBaggage(parseBaggage(text));
    requireSame(formatBaggage(parseBaggage(written)), written, 'baggage that was written is read and written alike');
    require(!/[\r\n\0]/.test(written), 'no line ends in a header that we write');
    const client = forwardedClient(text, PEER);
    require(client === null || (client.port >= 0 && client.port <= 65_535), 'a port is a port');
    const place = splitHostPort(text);
    const ip = place === null ? null : tryParseIp(place.host);
    if (place !== null && ip !== null) {
      requireSame(splitHostPort(formatAddress(ip, place.port))?.port, place.port, 'an address is written and read alike');
    }
    tryParseIp(text);
    tryParseCidr(text);
    tryParseIdentity(text);
    uriSans(text);
    isAuthority(text);
    splitAbsoluteTarget(text);
    for (const level of PATH_NORMALIZATIONS) {
      const target = normalizeTarget(text, level);
      if (target !== null) requireSame(normalizeTarget(target, level), target, 'a normal target is its own normal form');
    }
    readConnect([
      [':method', 'CONNECT'],
      [':authority', text.slice(0, cut)],
      ['forwarded', text.slice(cut)],
    ]);
  },
};
