import { InvalidArgumentError } from 'commander';
import { type Family, familyOf, type IpAddress, splitHostPort, tryParseCidr, tryParseIp } from '#model/address/ip.ts';
import { CAPTURE_ANNOTATIONS, captureAnnotations, captureProblems } from '#model/mesh/capture.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { NamedService } from '#model/mesh/service.ts';
import { CAPABILITIES, type CapabilityName, readCapability } from '#model/rights/capabilities.ts';
import { readUserText, type UserText } from '#model/rights/rights.ts';
import { AGENT } from '#model/settings/agents.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { isIdentityPattern } from '#model/trust/grant.ts';

/** A name or an address, and a TCP port. */
export type HostPort = { host: string; port: number };

/** Where DNS questions for names outside the mesh go. */
export type DnsUpstream = { ip: IpAddress; port: number };

// Kubernetes' rules: DNS labels for workloads, DNS subdomains for nodes and resources.
const WORKLOAD_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const LABEL_PART = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?$/;
const TRUST_DOMAIN = /^[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?$/;

// Each reader throws InvalidArgumentError, which commander turns into a usage error that names the option.

/** A name of a workload, its namespace or its service account: lower-case letters, digits and `-`, at most 63. */
export function readWorkloadName(text: string): string {
  if (!WORKLOAD_NAME.test(text))
    throw new InvalidArgumentError('Write at most 63 lower-case letters, digits and "-", such as shop-1.');
  return text;
}

/** A name of a node or of a resource: lower-case letters, digits, `-` and `.`. */
export function readName(text: string): string {
  if (!NAME.test(text)) throw new InvalidArgumentError('Write lower-case letters, digits, "-" and "." only, such as shop-1.');
  return text;
}

/** A SPIFFE trust domain. */
export function readTrustDomain(text: string): string {
  if (!TRUST_DOMAIN.test(text)) throw new InvalidArgumentError('Write a domain in lower case, such as cluster.local.');
  return text;
}

/** `host:port` or `[v6]:port`. */
export function readHostPort(text: string): HostPort {
  const found = splitHostPort(text);
  if (found === null) throw new InvalidArgumentError('Write HOST:PORT, such as 127.0.0.1:15012 or [::1]:15012.');
  return found;
}

/** `host:port`, or the word that says: nowhere. Not null, which commander takes for an empty text. */
export function readHostPortOrOff(text: string): HostPort | 'off' {
  return text === 'off' ? text : readHostPort(text);
}

/** Members of an etcd, and what all keys begin with, which ends in a slash. */
export type StoreUrl = { members: readonly string[]; prefix: string };

const STORE_PREFIX = /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/;

/** `etcd://host:port,host:port[/prefix]`. */
export function readStoreUrl(text: string): StoreUrl {
  const [, members = '', , prefix = 'weft'] = /^etcd:\/\/([^/]+)(\/(.+?)\/?)?$/.exec(text) ?? [];
  if (members === '' || !STORE_PREFIX.test(prefix))
    throw new InvalidArgumentError('Write etcd://HOST:PORT,HOST:PORT[/PREFIX], such as etcd://10.0.0.5:2379,10.0.0.6:2379/weft.');
  return { members: readAddresses(members).split(','), prefix: `${prefix}/` };
}

const NAMED_SERVICE = /^([a-z0-9-]+)\/([a-z0-9-]+):(\d{1,5})$/;

/** `NAMESPACE/NAME:PORT`: a port of a Service. */
export function readNamedService(text: string): NamedService {
  const [, namespace = '', name = '', digits = ''] = NAMED_SERVICE.exec(text) ?? [];
  const port = Number(digits);
  if (!WORKLOAD_NAME.test(namespace) || !WORKLOAD_NAME.test(name) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('Write NAMESPACE/NAME:PORT of a Service, such as infra/ratelimit:8081.');
  return { namespace, name, port };
}

/** The text that `readNamedService` reads. */
export function formatNamedService({ namespace, name, port }: NamedService): string {
  return `${namespace}/${name}:${port}`;
}

/** How many threads carry connections. */
export function readThreads(text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count <= AGENT.threadsMax)) throw new InvalidArgumentError(`Write a number from 0 to ${AGENT.threadsMax}.`);
  return count;
}

/** `host:port`, as text. */
export function readAddress(text: string): string {
  return formatHostPort(readHostPort(text));
}

/** One `host:port` or several, divided by commas, as text. */
export function readAddresses(text: string): string {
  return text.split(',').map(readAddress).join();
}

/** `host:port`, or `unix:` and the path of a socket. */
export function readAddressOrSocket(text: string): string {
  return text.startsWith('unix:/') ? text : readAddress(text);
}

/** Where a collector of OpenTelemetry is: an http or https URL, or a grpc or grpcs one, which has nothing but host and port. */
export function readCollector(text: string): string {
  const url = URL.parse(text);
  if (url !== null && ['http:', 'https:'].includes(url.protocol)) return text;
  const isPlace = url !== null && splitHostPort(url.host) !== null && ['', '/'].includes(url.pathname);
  if (isPlace && ['grpc:', 'grpcs:'].includes(url.protocol)) return text;
  throw new InvalidArgumentError('Write a URL such as http://10.0.0.9:4318 or grpc://10.0.0.9:4317.');
}

/** A share of a hundred, with fractions. */
export function readPercent(text: string): number {
  const percent = text.trim() === '' ? Number.NaN : Number(text);
  if (!(percent >= 0 && percent <= 100)) throw new InvalidArgumentError('Write a number from 0 to 100.');
  return percent;
}

/** A reader of a range of addresses of one family, such as 10.41.0.0/24. */
export function cidrReader(family: Family): (text: string) => string {
  const example = family === 4 ? '10.41.0.0/24' : 'fd41:0:0:1::/64';
  return (text) => {
    const cidr = tryParseCidr(text);
    if (cidr === null || !text.includes('/') || familyOf(cidr.base) !== family) {
      throw new InvalidArgumentError(`Write an IPv${family} range, such as ${example}.`);
    }
    return text;
  };
}

/** Collects ranges of either family. */
export function collectCidr(text: string, before: readonly string[]): string[] {
  if (tryParseCidr(text) === null) throw new InvalidArgumentError('Write a range such as 10.0.0.0/8 or fd00::/8.');
  return [...before, text];
}

/** Collects patterns of identities. */
export function collectIdentity(text: string, before: readonly string[]): string[] {
  if (!isIdentityPattern(text)) throw new InvalidArgumentError("Write NAMESPACE/ACCOUNT, such as shop/web or 'shop/*'.");
  return [...before, text];
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** A time such as 90s, 15m, 12h or 30d, in seconds. */
export function readDurationSeconds(text: string): number {
  const [, digits, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const each = SECONDS[unit ?? ''];
  if (digits === undefined || each === undefined) throw new InvalidArgumentError('Write a number and s, m, h or d, such as 12h.');
  return Number(digits) * each;
}

/** A share beside others: a whole number, as the control plane takes it. */
export function readWeight(text: string): number {
  const weight = /^[0-9]{1,4}$/.test(text) ? Number(text) : 0;
  if (weight < 1 || weight > CONTROL.weightMax)
    throw new InvalidArgumentError(`Write a whole number of 1 to ${CONTROL.weightMax}.`);
  return weight;
}

/** Collects `key=value`; the last value of a key wins. */
export function collectLabel(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=');
  const key = text.slice(0, Math.max(at, 0));
  const value = text.slice(at + 1);
  const valid = LABEL_PART.test(key) && (value === '' || LABEL_PART.test(value)) && value.length <= 63;
  if (!valid) throw new InvalidArgumentError('Write KEY=VALUE, such as app=reviews.');
  return { ...before, [key]: value };
}

/** Collects annotations: those that have an effect here, since others would silently have none. */
export function collectAnnotation(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=');
  const told = { [text.slice(0, Math.max(at, 0))]: text.slice(at + 1) };
  if (Object.keys(captureAnnotations(told)).length === 0 || captureProblems(told).length > 0)
    throw new InvalidArgumentError(`Write ${Object.values(CAPTURE_ANNOTATIONS).join(' or ')}, and =true or =false after it.`);
  return { ...before, ...told };
}

/** Collects DNS servers: an IP address, or one with a port. */
export function collectDnsUpstream(text: string, before: readonly DnsUpstream[]): DnsUpstream[] {
  const bare = tryParseIp(text); // first: an IPv6 address without brackets also looks like host:port
  if (bare !== null) return [...before, { ip: bare, port: PORT.nameserver }];
  const pair = splitHostPort(text);
  const ip = pair === null ? null : tryParseIp(pair.host);
  if (pair === null || ip === null)
    throw new InvalidArgumentError('Write an IP address, or IP:PORT, such as 9.9.9.9 or [2620:fe::fe]:53.');
  return [...before, { ip, port: pair.port }];
}

/** Collects capabilities. `ALL` is refused: nobody means those that open the machine. */
export function collectCapability(text: string, before: readonly CapabilityName[]): CapabilityName[] {
  if (text.toUpperCase() === 'ALL')
    throw new InvalidArgumentError('Name each capability that is needed: docs/capabilities.md says what each opens.');
  const capability = readCapability(text);
  if (capability === null) throw new InvalidArgumentError(`Write one of ${Object.keys(CAPABILITIES).join(', ')}.`);
  return [...before.filter((name) => name !== capability), capability];
}

/** A user, and a group after a colon: names or numbers. */
export function readUser(text: string): UserText {
  const user = readUserText(text);
  if (user === null)
    throw new InvalidArgumentError('Write USER or USER:GROUP, by name or number, such as www-data or 1000:1000.');
  return user;
}

/** Collects absolute paths. */
export function collectPath(text: string, before: readonly string[]): string[] {
  if (!text.startsWith('/') || text.includes('\0')) throw new InvalidArgumentError('Write an absolute path, such as /run/php.');
  return [...before, text];
}

/** Collects plain words. */
export function collect(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

/** The text that `readHostPort` reads. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
