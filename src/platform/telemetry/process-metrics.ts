import { readdirSync } from 'node:fs';
import type { Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { DiscoveryStatus } from '#platform/grpc/discovery-client.ts';
import type { CertificateStatus } from '#protocol/ca/certificate-cache.ts';
import { linesLeftOut, logIsFull } from './log-turns.ts';

/** What every process of the mesh has that serves traffic: a version, certificates and a discovery stream. */
export type ProcessParts = {
  component: 'ztunnel' | 'proxy';
  version: string;
  certificates: () => readonly CertificateStatus[];
  discovery: () => DiscoveryStatus;
  mishaps: Mishaps;
  clock: Clock;
};

/** Shows the state of a process and of its clients on its metrics page; read only when somebody looks. */
export function readProcessMetrics(meters: Meters, parts: ProcessParts): void {
  const { certificates, discovery } = parts;
  readOwnProcess(meters, parts);
  meters.read('weft_certificates', () => {
    const count = (state: 'valid' | 'pending' | 'failing') => ({
      labels: { state },
      value: certificates().filter((one) => stateOf(one) === state).length,
    });
    return [count('valid'), count('pending'), count('failing')];
  });
  meters.readValue('weft_certificate_expiry_timestamp_seconds', () => {
    const ends = certificates().flatMap(({ notAfterMs }) => (notAfterMs === null ? [] : [notAfterMs / 1_000]));
    return ends.length === 0 ? 0 : Math.min(...ends);
  });
  meters.readValue('weft_control_plane_connected', () => (discovery().connected ? 1 : 0));
  meters.readValue('weft_control_plane_synced_timestamp_seconds', () => (discovery().syncedAtMs ?? 0) / 1_000);
  meters.read('istio_xds_connection_terminations_total', () =>
    Object.entries(discovery().terminations).map(([reason, value]) => ({ labels: { reason }, value })),
  );
}

/** Shows what any process of the mesh has: its version, and what it takes from its machine. */
export function readOwnProcess(
  meters: Meters,
  { component, version, mishaps, clock }: Pick<ProcessParts, 'version' | 'mishaps' | 'clock'> & { component: string },
): void {
  const startSeconds = clock.nowMs() / 1_000 - process.uptime();
  meters.read('istio_build', () => [{ labels: { component, tag: version }, value: 1 }]);
  meters.read('weft_mishaps_total', () => [...mishaps.counts()].map(([entry, value]) => ({ labels: { entry }, value })));
  meters.readValue('weft_log_lines_left_out_total', linesLeftOut);
  meters.readValue('weft_log_disk_full', () => (logIsFull() ? 1 : 0));
  meters.readValue('process_cpu_seconds_total', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000_000;
  });
  meters.readValue('process_resident_memory_bytes', () => process.memoryUsage.rss());
  meters.readValue('process_open_fds', () => readdirSync('/proc/self/fd').length);
  meters.readValue('process_start_time_seconds', () => startSeconds);
}

function stateOf({ notAfterMs, error }: CertificateStatus): 'valid' | 'pending' | 'failing' {
  if (error !== null) return 'failing';
  return notAfterMs === null ? 'pending' : 'valid';
}
