import { readTcpSegments } from './pcap.ts';
import type { TcpStream } from './tcp-streams.ts';
import { assembleStreams } from './tcp-streams.ts';
import { inspectTls } from './tls-records.ts';

/** The port of HBONE on every workload. */
export const HBONE_PORT = 15_008;

/** What a capture of the link between the nodes shows. */
export type WireReport = {
  /** Everything that is not TLS 1.3 to port 15008, in words; empty: nothing. */
  problems: string[];
  /** Connections whose beginning was captured and whose server selected TLS 1.3. */
  handshakes: number;
  /** Bytes in encrypted records, both directions. */
  encryptedBytes: number;
  /** TCP connections to port 15008. */
  connections: number;
};

/** Reads a capture and judges every TCP byte in it. */
export function reportWire(capture: Buffer): WireReport {
  const report: WireReport = { problems: [], handshakes: 0, encryptedBytes: 0, connections: 0 };
  for (const stream of assembleStreams(readTcpSegments(capture))) {
    const toServer = stream.destinationPort === HBONE_PORT;
    if (!toServer && stream.sourcePort !== HBONE_PORT) {
      report.problems.push(`TCP that is not HBONE: ${nameOf(stream)}, ${stream.bytes.length} bytes`);
      continue;
    }
    const tls = inspectTls(stream.bytes, toServer ? 'client' : 'server', stream.fromStart);
    if (tls.problem !== null) report.problems.push(`${nameOf(stream)}: ${tls.problem}`);
    if (stream.incomplete) report.problems.push(`${nameOf(stream)}: the capture has a hole`);
    if (toServer) report.connections++;
    if (stream.fromStart && tls.selectsTls13) report.handshakes++;
    report.encryptedBytes += tls.applicationBytes;
  }
  return report;
}

function nameOf({ source, sourcePort, destination, destinationPort }: TcpStream): string {
  return `${source} port ${sourcePort} to ${destination} port ${destinationPort}`;
}
