import ipaddr from 'ipaddr.js';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { familyOf, tryParseCidr } from '#model/address/ip.ts';

/** An address or range; bits behind the length are accepted, with a warning that shows the network. */
export function checkCidr(value: string, path: FieldPath): Problem[] {
  const cidr = tryParseCidr(value);
  if (cidr === null) {
    const message = `"${value}" is neither an IP address nor a range`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'write 10.0.0.1, 10.0.0.0/8 or fd00::/8')];
  }
  const text = `${cidr.base}/${cidr.length}`;
  const family = familyOf(cidr.base) === 4 ? ipaddr.IPv4 : ipaddr.IPv6;
  const network = family.networkAddressFromCIDR(text).toString();
  if (network === cidr.base) return [];
  const message = `"${value}" has bits set behind its length: it means the range ${network}/${cidr.length}`;
  return [warningAt('WEFT_LIKELY_MISTAKE', path, message, `write ${network}/${cidr.length}`)];
}
