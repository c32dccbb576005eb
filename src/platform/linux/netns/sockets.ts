import { closeSync } from 'node:fs';
import { type Family, familyOf, formatAddress, type IpAddress, parseIp } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import type { Publication } from '#model/launch/publication.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { bind, errno, errnoName, fcntl, getsockname, listen, setsockopt, socket } from '#platform/ffi/libc.ts';
import { decodeSockaddr, sockaddrOnce } from '#platform/ffi/sockaddr.ts';
import { SOCKADDR_BYTES } from '#platform/ffi/syscalls.ts';
import { portHolder } from '#platform/linux/net/listening-sockets.ts';
import { inNamespace } from './namespace.ts';

const AF = { 4: 2, 6: 10 } as const;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const NONBLOCK_CLOEXEC = 0o2004000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_TCP = 6;
/** Fixed by Linux. */
const TCP_USER_TIMEOUT = 18;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const EAFNOSUPPORT = 97;
const F_DUPFD_CLOEXEC = 1_030;

/** A bound socket and its address; the caller owns the fd. */
export type BoundSocket = { fd: number; ip: IpAddress; port: number };

/** Of one call each; new ones would cost more than the call. */
const optionValue = Buffer.allocUnsafeSlow(4);
const foundAddress = Buffer.allocUnsafeSlow(SOCKADDR_BYTES);
const foundLength = Buffer.allocUnsafeSlow(4);

function setOption(fd: number, level: number, name: number, value: number): void {
  optionValue.writeInt32LE(value);
  setsockopt(fd, level, name, optionValue, optionValue.length);
}

function failure(what: string, code: number): WeftError {
  return new WeftError('WEFT_SOCKET', `cannot ${what}: ${errnoName(code)}`, {
    remedy: 'EADDRINUSE: another program of the workload holds one of the ports 15001, 15006, 15008, 15053',
  });
}

function boundAddress(fd: number): { ip: IpAddress; port: number } {
  foundLength.writeUInt32LE(foundAddress.length);
  getsockname(fd, foundAddress, foundLength);
  return decodeSockaddr(foundAddress);
}

/** Makes a socket known as the agent's own: before it is bound, since only those may have the agent's ports. */
export type Mark = (fd: number) => void;

/** Creates, marks and binds in a namespace; `options` run before the bind. */
function bindIn(place: Place, kind: number, ip: IpAddress, port: number, options: (fd: number) => void): BoundSocket {
  return place === HERE
    ? bound(place, kind, ip, port, options)
    : inNamespace(place.netnsFd, () => bound(place, kind, ip, port, options));
}

function bound({ mark }: Place, kind: number, ip: IpAddress, port: number, options: (fd: number) => void): BoundSocket {
  const fd = socket(AF[familyOf(ip)], kind | NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw failure('make a socket', errno());
  try {
    mark(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  options(fd);
  const address = sockaddrOnce(ip, port);
  if (bind(fd, address, address.length) !== 0) {
    const code = errno();
    closeSync(fd);
    throw failure(`bind ${formatAddress(ip, port)}`, code);
  }
  return { fd, ...boundAddress(fd) };
}

/** The namespace that sockets are made in, and how they are marked. */
export type Place = { netnsFd: number; mark: Mark };

/** This process's own namespace, in which nobody is told from anybody. */
const HERE: Place = { netnsFd: -1, mark: () => {} };

/**
 * Nobody can be bound beside it: SO_REUSEPORT, or SO_REUSEADDR on UDP, would let any program of the workload share the port
 * and its traffic. On TCP SO_REUSEADDR only lets a port be had again whose former connections are in TIME_WAIT.
 */
function wildcard(place: Place, kind: number, port: number): BoundSocket {
  const exclusive = (fd: number): void => {
    if (kind === SOCK_STREAM) setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  };
  try {
    return bindIn(place, kind, parseIp('::'), port, (fd) => {
      setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
      exclusive(fd);
    });
  } catch (error) {
    if (!(error instanceof WeftError) || !error.message.includes(errnoName(EAFNOSUPPORT))) throw error;
    return bindIn(place, kind, parseIp('0.0.0.0'), port, exclusive); // IPv6 is off
  }
}

/** Takes back SO_REUSEADDR, which lets others be bound beside a UDP socket. */
export function requireExclusive(fd: number): void {
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 0);
}

/** A TCP socket bound to every address of a namespace (dual-stack where IPv6 is on); give it to net.Server.listen({fd}). */
export function tcpListenerIn(place: Place, port: number): BoundSocket {
  return wildcard(place, SOCK_STREAM, port);
}

/** As tcpListenerIn, and already listening: what arrives waits for whoever comes to accept. The caller owns the fd. */
export function tcpListeningIn(place: Place, port: number): number {
  const { fd } = tcpListenerIn(place, port);
  if (listen(fd, TUNNEL.acceptBacklogMax) === 0) return fd;
  const code = errno();
  closeSync(fd);
  throw failure(`listen on port ${port}`, code);
}

/** Another descriptor of the same thing, for somebody else to close. */
export function duplicate(fd: number): number {
  const copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw failure('copy a descriptor', errno());
  return copy;
}

/** A TCP socket bound to a port of every address of this process's own namespace. The caller owns the fd. */
export function ownTcpListener(port: number): BoundSocket {
  return wildcard(HERE, SOCK_STREAM, port);
}

/**
 * A TCP socket that listens on a port of this process's own namespace, of one family alone. The caller owns the fd. Errors:
 * WEFT_PORT_TAKEN with the name of who has it, WEFT_SOCKET.
 */
export function publishedListening({ ip, hostPort }: Pick<Publication, 'ip' | 'hostPort'>): number {
  let fd: number;
  try {
    fd = bindIn(HERE, SOCK_STREAM, ip, hostPort, (own) => {
      setOption(own, SOL_SOCKET, SO_REUSEADDR, 1);
      if (familyOf(ip) === 6) setOption(own, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }).fd;
  } catch (error) {
    throw portTaken(ip, hostPort, error);
  }
  if (listen(fd, TUNNEL.acceptBacklogMax) === 0) return fd;
  const code = errnoName(errno());
  closeSync(fd);
  throw portTaken(ip, hostPort, new Error(code));
}

function portTaken(ip: IpAddress, port: number, cause: unknown): WeftError {
  const holder = portHolder(port);
  const at = formatAddress(ip, port);
  if (holder === null)
    return new WeftError('WEFT_SOCKET', `the workload cannot be published at ${at}`, {
      cause,
      remedy: 'name an address that this machine has, or none',
    });
  return new WeftError('WEFT_PORT_TAKEN', `the workload cannot be published at ${at}: ${holder} listens there`, {
    remedy: 'choose another port of the machine with --publish, or end what has this one',
  });
}

/** An unconnected TCP socket of this process's own namespace. The caller owns the fd. */
export function ownTcpSocket(family: Family): number {
  const fd = socket(AF[family], SOCK_STREAM | NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw failure('make a socket', errno());
  return fd;
}

/** A UDP socket bound to every address of a namespace; give it to dgram's bind({fd}). */
export function udpSocketIn(place: Place, port: number): BoundSocket {
  return wildcard(place, SOCK_DGRAM, port);
}

/** An unconnected TCP socket bound to `ip` and a free port of a namespace. The caller owns the fd. */
export function tcpSocketIn(place: Place, ip: IpAddress): BoundSocket {
  return bindIn(place, SOCK_STREAM, ip, 0, () => {});
}

/** An unconnected, unbound TCP socket of a namespace. The caller owns the fd. */
export function unboundTcpSocketIn(netnsFd: number, family: Family): number {
  const fd = inNamespace(netnsFd, () => socket(AF[family], SOCK_STREAM | NONBLOCK_CLOEXEC, 0));
  if (fd < 0) throw failure('make a socket', errno());
  return fd;
}

/**
 * For connections between proxies: one whose peer's node has gone without a packet ends within TUNNEL.unacknowledgedMs. Not for
 * apps, which may leave a full buffer unread for as long as they like. Accepted sockets have it of their listener.
 */
export function boundSilence(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, TUNNEL.unacknowledgedMs);
}
