import type { Segment } from './pcap.ts';

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
