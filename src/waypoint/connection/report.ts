import { identityOf } from '#model/mesh/workload.ts';
import type { PolicyHit } from '#model/policy/match.ts';
import {
  type AccessRecord,
  NO_PATH,
  REFUSED_OUTCOME,
  type RecordOutcome,
  type RecordPath,
  recordOf,
} from '#model/telemetry/access-record.ts';
import { CLOSE_CAUSES, type CloseCause } from '#model/telemetry/close-cause.ts';
import type { Telemetry } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { ConnectionFacts, ConnectionRecord } from './connection-facts.ts';
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

/** Tells of a connection that carried no requests. `serverName`: what it asked for by TLS, as far as that was read. */
export function tellConnection(
  { log, clock, accessText }: Pick<WaypointEffects, 'log' | 'clock' | 'accessText'>,
  { record: { source, origin, service }, destination: { port } }: ConnectionFacts,
  path: RecordPath,
  outcome: RecordOutcome,
  serverName: string | null,
): void {
  const record = recordOf(source, origin, path, outcome);
  if (accessText === null) {
    log.info(record, 'connection complete');
    return;
  }
  const cluster = service === null ? null : clusterName('tcp', { service: `/${service.hostname}`, port, subset: null });
  const startedMs = clock.nowMs() - (outcome.durationMs ?? 0);
  accessText.write(accessText.line({ startedMs, source, origin, path, outcome, cluster, serverName, http: null }), record);
}

/** What a waypoint of Istio calls a port of a service, or of a subset of it. */
export function clusterName(
  protocol: 'http' | 'tcp',
  {
    service,
    port,
    subset,
  }: { readonly service: string; readonly port: number; readonly subset: { readonly name: string } | null },
): string {
  const hostname = service.slice(service.indexOf('/') + 1);
  return `inbound-vip|${port}|${subset === null ? protocol : `${protocol}/${subset.name}`}|${hostname}`;
}
