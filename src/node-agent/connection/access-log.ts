import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { ResponseFlag } from '#protocol/hbone/transport.ts';

/** What is known of one connection; absent parts are left out of the line. */
export type AccessRecord = {
  direction: 'inbound' | 'outbound';
  source: { ip: IpAddress; port: number };
  sourceWorkload: Workload | null;
  sourceIdentity: Identity | null;
  /** Address on the wire: …:15008 for a tunnel. */
  destination: { ip: IpAddress; port: number };
  destinationWorkload: Workload | null;
  destinationIdentity: Identity | null;
  /** Target of the CONNECT. */
  authority: string | null;
  service: Service | null;
};

/** How a connection ended; bytes from the reporter's viewpoint. */
export type AccessOutcome = {
  flag: ResponseFlag;
  error: string | null;
  bytesSent: number;
  bytesReceived: number;
  policy?: string | null;
  rule?: number | null;
};

/**
 * One line per connection, at its end, with the fields of spec node-proxy 8.2.
 * Returns the function that closes the record; it writes once.
 */
export function openAccessRecord(record: AccessRecord, clock: Clock, log: Log): (outcome: AccessOutcome) => void {
  const startedMs = clock.nowMs();
  let written = false;
  return (outcome) => {
    if (written) return;
    written = true;
    const fields = Object.fromEntries(
      Object.entries({
        ...fieldsOf(record),
        bytes_sent: outcome.bytesSent,
        bytes_recv: outcome.bytesReceived,
        duration: `${clock.nowMs() - startedMs}ms`,
        response_flags: outcome.flag,
        policy: outcome.policy ?? undefined,
        rule: outcome.rule ?? undefined,
        error: outcome.error ?? undefined,
      }).filter(([, value]) => value !== undefined),
    );
    if (outcome.error === null) log.info(fields, 'connection complete');
    else log.error(fields, 'connection complete');
  };
}

function fieldsOf(record: AccessRecord): Record<string, unknown> {
  return {
    'src.addr': formatAddress(record.source.ip, record.source.port),
    'src.workload': record.sourceWorkload?.name,
    'src.namespace': record.sourceWorkload?.namespace,
    'src.identity': record.sourceIdentity === null ? undefined : formatIdentity(record.sourceIdentity),
    'dst.addr': formatAddress(record.destination.ip, record.destination.port),
    'dst.hbone_addr': record.authority ?? undefined,
    'dst.service': record.service?.hostname,
    'dst.workload': record.destinationWorkload?.name,
    'dst.namespace': record.destinationWorkload?.namespace,
    'dst.identity': record.destinationIdentity === null ? undefined : formatIdentity(record.destinationIdentity),
    direction: record.direction,
  };
}
