import { identityOf } from '#model/mesh/workload.ts';
import type { PolicyHit } from '#model/policy/match.ts';
import { type AccessRecord, NO_PATH, REFUSED_OUTCOME, type RecordPath, recordOf } from '#model/telemetry/access-record.ts';
import { CLOSE_CAUSES, type CloseCause } from '#model/telemetry/close-cause.ts';
import type { Telemetry } from '#waypoint/self/counters.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { ConnectionRecord } from './connection-facts.ts';
import type { Destination } from './destination.ts';

/** Where a connection or request was taken; `endpoint` null: nowhere. */
export function takenPath(
  service: RecordPath['service'],
  destination: Destination,
  endpoint: UpstreamEndpoint | null,
): RecordPath {
  if (endpoint === null) return { ...NO_PATH, service, workload: destination.kind === 'workload' ? destination.workload : null };
  const { ip, port, workload } = endpoint;
  // In the mesh the peer has proven it, or the kernel went to its very namespace; outside nobody proves anything.
  const identity = workload.tunnelProtocol === 'hbone' ? identityOf(workload) : null;
  return { end: { ip, port }, authority: null, service, workload, identity };
}

/** `policy` and `rule` of a record, as far as one decided. */
export function decidedBy(by: PolicyHit | null | undefined): { policy: string | null; rule: number | null } {
  return { policy: by?.policy ?? null, rule: by?.index ?? null };
}

/** Counts a connection that is refused before anything is known of where it goes, and gives its line. */
export function refusalRecord(
  { meters }: Pick<Telemetry, 'meters'>,
  { source, origin }: Pick<ConnectionRecord, 'source' | 'origin'>,
  cause: CloseCause,
  error: string,
): AccessRecord {
  meters.counter('weft_refusals_total', { reporter: origin.reporter, cause }).add();
  return recordOf(source, origin, NO_PATH, { ...REFUSED_OUTCOME, flag: CLOSE_CAUSES[cause].flag, cause, error });
}
