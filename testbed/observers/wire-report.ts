import { PORT } from '#model/mesh/ports.ts';
import { assembleStreams, readCapture, type TcpStream } from './pcap.ts';

/** What a capture of the link between the nodes shows. */
export type WireReport = {
  /** Everything that is neither TLS 1.3 to port 15008 nor neighbour discovery, in words; empty: nothing. */
  problems: string[];
  /** Connections whose beginning was captured and whose server selected TLS 1.3. */
  handshakes: number;
  /** Bytes in encrypted records, both directions. */
  encryptedBytes: number;
  /** TCP connections to port 15008. */
  connections: number;
};

/** Reads a capture and judges every frame and every TCP byte in it. */
export function reportWire(capture: Buffer): WireReport {
  const { segments, strays } = readCapture(capture);
  const report: WireReport = { problems: [...strays], handshakes: 0, encryptedBytes: 0, connections: 0 };
  for (const stream of assembleStreams(segments)) {
    const toServer = stream.destinationPort === PORT.hbone;
    if (!toServer && stream.sourcePort !== PORT.hbone) {
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

/** What the records of one direction of a connection are. */
export type TlsReport = {
  /** Why this is not a TLS 1.3 stream; null when it is. */
  problem: string | null;
  /** Bytes in application-data records (which under TLS 1.3 also carry the encrypted handshake). */
  applicationBytes: number;
  /** Whether a ServerHello that selects TLS 1.3 was seen. */
  selectsTls13: boolean;
};

const RECORD_HEADER_BYTES = 5;
/** RFC 8446 section 5.2: 2^14 plus 256 for padding, type and tag. */
const RECORD_BYTES_MAX = 16_384 + 256;
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const ALERT_BYTES = 2;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const EXTENSION_SUPPORTED_VERSIONS = 43;
const TLS_1_3 = 0x0304;

/**
 * Reads a direction of a connection as TLS records and says whether it can be TLS 1.3 and nothing else:
 * hello messages, a dummy change-cipher-spec, and from there on application data only (RFC 8446 sections 4.1 and 5). One that gives
 * up a handshake says why with an alert of two bytes, which is the last that it sends (section 6.2): before there are keys it is in
 * clear. A client does so, too, whose server is killed after it has read the hello.
 * A stream that was captured from its middle may begin with any of these, or within a record. The last record may be cut off.
 */
export function inspectTls(bytes: Buffer, side: 'client' | 'server', fromStart: boolean): TlsReport {
  const report: TlsReport = { problem: null, applicationBytes: 0, selectsTls13: false };
  let helloSeen = !fromStart;
  let encrypted = false;
  for (let at = fromStart ? 0 : firstRecord(bytes); at + RECORD_HEADER_BYTES <= bytes.length && report.problem === null; ) {
    const type = bytes[at] ?? 0;
    const length = bytes.readUInt16BE(at + 3);
    const body = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
    const problem = (what: string): string => `${what} at byte ${at} from the ${side} (record type ${type}, ${length} bytes)`;
    if (bytes[at + 1] !== 3 || length > RECORD_BYTES_MAX) report.problem = problem('no TLS record');
    else if (type === APPLICATION_DATA && helloSeen) {
      encrypted = true;
      report.applicationBytes += body.length;
    } else if (type === HANDSHAKE && !encrypted && body[0] === (side === 'client' ? CLIENT_HELLO : SERVER_HELLO)) {
      helloSeen = true;
      if (side === 'server' && body.length === length) report.selectsTls13 = selectedVersion(body) === TLS_1_3;
      if (side === 'server' && !report.selectsTls13) report.problem = problem('a ServerHello that does not select TLS 1.3');
    } else if (
      type === ALERT &&
      !encrypted &&
      length === ALERT_BYTES &&
      bytes.length === at + RECORD_HEADER_BYTES + ALERT_BYTES
    ) {
      break;
    } else if (!(type === CHANGE_CIPHER_SPEC && !encrypted && helloSeen && length === 1)) {
      report.problem = problem('a record that TLS 1.3 does not have here');
    }
    at += RECORD_HEADER_BYTES + length;
  }
  return report;
}

/**
 * Where the first whole record of a stream begins that was captured from its middle: at its first byte, or where from a record of
 * application data on one follows the other to the end. 0 if there is none: these bytes are no TLS.
 */
function firstRecord(bytes: Buffer): number {
  const isHeader = (at: number): boolean =>
    bytes[at] === APPLICATION_DATA &&
    bytes[at + 1] === 3 &&
    bytes[at + 2] === 3 &&
    bytes.readUInt16BE(at + 3) <= RECORD_BYTES_MAX;
  if ([CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA].includes(bytes[0] ?? 0) && bytes[1] === 3) return 0;
  const last = Math.min(bytes.length - RECORD_HEADER_BYTES, RECORD_BYTES_MAX);
  for (let start = 1; start <= last; start++) {
    let at = start;
    while (at + RECORD_HEADER_BYTES <= bytes.length && isHeader(at)) at += RECORD_HEADER_BYTES + bytes.readUInt16BE(at + 3);
    if (at > start && at + RECORD_HEADER_BYTES > bytes.length) return start;
  }
  return 0;
}

/** The version in a ServerHello's supported_versions extension, 0 when it has none (RFC 8446 section 4.2.1). */
function selectedVersion(message: Buffer): number {
  // Type and length (4), legacy version (2), random (32), then the session id with its length.
  let at = 38;
  at += 1 + (message[at] ?? 0);
  at += 3; // cipher suite and compression method
  const end = Math.min(message.length, at + 2 + (at + 2 <= message.length ? message.readUInt16BE(at) : 0));
  at += 2;
  while (at + 4 <= end) {
    const type = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 2);
    if (type === EXTENSION_SUPPORTED_VERSIONS && at + 6 <= end) return message.readUInt16BE(at + 4);
    at += 4 + length;
  }
  return 0;
}
