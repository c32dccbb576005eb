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
const ETHERTYPE_IPV6 = 0x86dd;
const IPPROTO_TCP = 6;
const TCP_FLAG_SYN = 0x02;

/**
 * The TCP segments in a capture file of tcpdump (little-endian pcap, Ethernet; draft-ietf-opsawg-pcap).
 * A record that the file ends within is left out. Errors: Error for any other format.
 */
export function readTcpSegments(file: Buffer): Segment[] {
  const magic = file.readUInt32LE(0);
  // Micro- and nanosecond time stamps: the layout is the same.
  if (magic !== 0xa1b2c3d4 && magic !== 0xa1b23c4d) throw new Error(`not a pcap file: magic ${magic.toString(16)}`);
  const linkType = file.readUInt32LE(20) & 0xffff;
  if (linkType !== LINK_TYPE_ETHERNET) throw new Error(`unexpected link type ${linkType}`);
  const segments: Segment[] = [];
  for (let at = FILE_HEADER_BYTES; at + RECORD_HEADER_BYTES <= file.length; ) {
    const captured = file.readUInt32LE(at + 8);
    const start = at + RECORD_HEADER_BYTES;
    if (start + captured > file.length) break;
    const segment = readFrame(file.subarray(start, start + captured));
    if (segment !== null) segments.push(segment);
    at = start + captured;
  }
  return segments;
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
  const headerBytes = ((packet[0] ?? 0) & 0x0f) * 4;
  const totalBytes = packet.readUInt16BE(2);
  const address = (at: number): string => [...packet.subarray(at, at + 4)].join('.');
  // A length of 0 stands for a segment that the sender's offload has not cut up yet.
  return readTcp(packet.subarray(headerBytes, totalBytes === 0 ? packet.length : totalBytes), address(12), address(16));
}

function readIpv6(packet: Buffer): Segment | null {
  if (packet.length < 40 || packet[6] !== IPPROTO_TCP) return null;
  const payloadBytes = packet.readUInt16BE(4);
  const address = (at: number): string =>
    Array.from({ length: 8 }, (_, word) => packet.readUInt16BE(at + word * 2).toString(16)).join(':');
  return readTcp(packet.subarray(40, payloadBytes === 0 ? packet.length : 40 + payloadBytes), address(8), address(24));
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
