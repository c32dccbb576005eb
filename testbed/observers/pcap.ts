/** One TCP segment of a capture. */
export type Segment = {
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  sequence: number;
  syn: boolean;
  payload: Buffer;
};

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const ETHERNET_HEADER_BYTES = 14;
const LINK_TYPE_ETHERNET = 1;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const IPPROTO_HOP_BY_HOP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_ICMPV6 = 58;
const TCP_FLAG_SYN = 0x02;

/** What a capture holds, sorted by what may be on a wire between nodes. */
export type CaptureContents = {
  segments: Segment[];
  /** In words: every frame that is neither TCP nor what neighbours need to find one another; one entry per kind, with its count. */
  strays: string[];
};

/**
 * Everything in a capture file of tcpdump (little-endian pcap, Ethernet; draft-ietf-opsawg-pcap).
 * A record that the file ends within is left out. Errors: Error for any other format.
 */
export function readCapture(file: Buffer): CaptureContents {
  const segments: Segment[] = [];
  const strays = new Map<string, number>();
  for (const frame of readRecords(file)) {
    const segment = readFrame(frame);
    if (segment !== null) segments.push(segment);
    else if (!isNeighbourDiscovery(frame)) strays.set(describeFrame(frame), (strays.get(describeFrame(frame)) ?? 0) + 1);
  }
  return { segments, strays: [...strays].map(([what, count]) => `${count} × ${what}`) };
}

function* readRecords(file: Buffer): Generator<Buffer> {
  const magic = file.readUInt32LE(0);
  // Micro- and nanosecond time stamps: the layout is the same.
  if (magic !== 0xa1b2c3d4 && magic !== 0xa1b23c4d) throw new Error(`not a pcap file: magic ${magic.toString(16)}`);
  const linkType = file.readUInt32LE(20) & 0xffff;
  if (linkType !== LINK_TYPE_ETHERNET) throw new Error(`unexpected link type ${linkType}`);
  for (let at = FILE_HEADER_BYTES; at + RECORD_HEADER_BYTES <= file.length; ) {
    const captured = file.readUInt32LE(at + 8);
    const start = at + RECORD_HEADER_BYTES;
    if (start + captured > file.length) return;
    yield file.subarray(start, start + captured);
    at = start + captured;
  }
}

/** ARP, and of ICMPv6 what finds neighbours, routers and listeners to multicast (RFC 4861, 3810), by whose rules it never leaves the link. */
function isNeighbourDiscovery(frame: Buffer): boolean {
  const type = frame.length < ETHERNET_HEADER_BYTES ? 0 : frame.readUInt16BE(12);
  if (type === ETHERTYPE_ARP) return true;
  const packet = frame.subarray(ETHERNET_HEADER_BYTES);
  if (type !== ETHERTYPE_IPV6 || packet.length < 48) return false;
  // Reports of listeners carry a router alert in a hop-by-hop header of 8 bytes.
  const [next, at] = packet[6] === IPPROTO_HOP_BY_HOP ? [packet[40], 48] : [packet[6], 40];
  const icmpType = packet[at] ?? 0;
  return next === IPPROTO_ICMPV6 && ((icmpType >= 130 && icmpType <= 137) || icmpType === 143);
}

function describeFrame(frame: Buffer): string {
  if (frame.length < ETHERNET_HEADER_BYTES) return `frame of ${frame.length} bytes`;
  const type = frame.readUInt16BE(12);
  const packet = frame.subarray(ETHERNET_HEADER_BYTES);
  if (type === ETHERTYPE_IPV4 && packet.length >= 20)
    return `IPv4 protocol ${packet[9]} from ${readIp4(packet, 12)} to ${readIp4(packet, 16)}`;
  if (type === ETHERTYPE_IPV6 && packet.length >= 40)
    return `IPv6 next header ${packet[6]} from ${readIp6(packet, 8)} to ${readIp6(packet, 24)}`;
  return `ethertype 0x${type.toString(16).padStart(4, '0')}`;
}

/** The TCP segment in an Ethernet frame; null when it carries something else. */
function readFrame(frame: Buffer): Segment | null {
  if (frame.length < ETHERNET_HEADER_BYTES) return null;
  const packet = frame.subarray(ETHERNET_HEADER_BYTES);
  switch (frame.readUInt16BE(12)) {
    case ETHERTYPE_IPV4:
      return readIpv4(packet);
    case ETHERTYPE_IPV6:
      return readIpv6(packet);
    default:
      return null;
  }
}

function readIpv4(packet: Buffer): Segment | null {
  if (packet.length < 20 || packet[9] !== IPPROTO_TCP) return null;
  if ((packet.readUInt16BE(6) & 0x3fff) !== 0) return null; // a fragment: nobody could say what is in it
  const headerBytes = ((packet[0] ?? 0) & 0x0f) * 4;
  const totalBytes = packet.readUInt16BE(2);
  // A length of 0 stands for a segment that the sender's offload has not cut up yet.
  return readTcp(
    packet.subarray(headerBytes, totalBytes === 0 ? packet.length : totalBytes),
    readIp4(packet, 12),
    readIp4(packet, 16),
  );
}

function readIp4(packet: Buffer, at: number): string {
  return [...packet.subarray(at, at + 4)].join('.');
}

function readIp6(packet: Buffer, at: number): string {
  return Array.from({ length: 8 }, (_, word) => packet.readUInt16BE(at + word * 2).toString(16)).join(':');
}

function readIpv6(packet: Buffer): Segment | null {
  if (packet.length < 40 || packet[6] !== IPPROTO_TCP) return null;
  const payloadBytes = packet.readUInt16BE(4);
  return readTcp(
    packet.subarray(40, payloadBytes === 0 ? packet.length : 40 + payloadBytes),
    readIp6(packet, 8),
    readIp6(packet, 24),
  );
}

function readTcp(tcp: Buffer, source: string, destination: string): Segment | null {
  if (tcp.length < 20) return null;
  return {
    source,
    destination,
    sourcePort: tcp.readUInt16BE(0),
    destinationPort: tcp.readUInt16BE(2),
    sequence: tcp.readUInt32BE(4),
    syn: ((tcp[13] ?? 0) & TCP_FLAG_SYN) !== 0,
    payload: tcp.subarray(((tcp[12] ?? 0) >> 4) * 4),
  };
}

/** What one end of a TCP connection sent, put in order. */
export type TcpStream = {
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  /** Whether the capture saw the connection begin. */
  fromStart: boolean;
  /** Bytes up to the first hole in the capture. */
  bytes: Buffer;
  /** Whether something the capture saw lies behind a hole. */
  incomplete: boolean;
};

/** Sorts the segments of a capture into streams, one per direction of each connection, and puts them in order. */
export function assembleStreams(segments: readonly Segment[]): TcpStream[] {
  const flows = Map.groupBy(segments, (one) => `${one.source} ${one.sourcePort} ${one.destination} ${one.destinationPort}`);
  return [...flows.values()].map(assemble);
}

function assemble(segments: Segment[]): TcpStream {
  const [first] = segments;
  if (first === undefined) throw new Error('a flow has at least one segment');
  const syn = segments.find((segment) => segment.syn);
  const base = syn === undefined ? lowestSequence(segments) : syn.sequence + 1;
  const ordered = segments
    .filter((segment) => segment.payload.length > 0)
    .map(({ sequence, payload }) => ({ offset: distance(base, sequence), payload }))
    .sort((a, b) => a.offset - b.offset);
  const parts: Buffer[] = [];
  let end = 0;
  let incomplete = false;
  for (const { offset, payload } of ordered) {
    if (offset > end) {
      incomplete = true;
      break;
    }
    // Retransmissions overlap what is already there.
    const fresh = payload.subarray(Math.min(payload.length, end - offset));
    parts.push(fresh);
    end += fresh.length;
  }
  const { source, sourcePort, destination, destinationPort } = first;
  return {
    source,
    sourcePort,
    destination,
    destinationPort,
    fromStart: syn !== undefined,
    bytes: Buffer.concat(parts),
    incomplete,
  };
}

function lowestSequence(segments: readonly Segment[]): number {
  const [first] = segments;
  if (first === undefined) return 0;
  const withPayload = segments.filter((segment) => segment.payload.length > 0);
  return withPayload.reduce(
    (lowest, { sequence }) => (distance(lowest, sequence) < 0 ? sequence : lowest),
    withPayload[0]?.sequence ?? first.sequence,
  );
}

/** How far `to` lies behind `from` in sequence space, which wraps at 2^32; negative when it lies before. */
function distance(from: number, to: number): number {
  return (to - from) | 0;
}
