import { closeSync } from 'node:fs';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { systemClock } from '#platform/clock.ts';
import type { DiscoveryStatus } from '#platform/grpc/discovery-client.ts';
import { boundSilence, duplicate } from '#platform/linux/netns/sockets.ts';
import { type MetricsServer, serveMetrics, WAYPOINT_PLACE } from '#platform/telemetry/metrics-server.ts';
import { readProcessMetrics } from '#platform/telemetry/process-metrics.ts';
import type { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import type { Succession, WaypointSockets } from '#waypoint/listener/succession.ts';
import type { Planes } from '#waypoint/seam/planes.ts';
import { readWaypointMetrics } from '#waypoint/self/counters.ts';

/** What listens, and what of it is shown. */
export type ListeningParts = {
  /** `<namespace>/<gateway>`. */
  name: string;
  version: string;
  planes: Planes;
  succession: Succession;
  certificates: CertificateCache;
  discovery: () => DiscoveryStatus;
  meters: Meters;
  log: Log;
  mishaps: Mishaps;
};

/** Where a waypoint listens: its ports, of which each that serves has descriptors of its own, and its metrics page. */
export function listeningOf(parts: ListeningParts): { begin(): Promise<void>; stop(): void } {
  const { name, version, planes, succession, meters, log } = parts;
  let own: WaypointSockets | null = null;
  let metrics: MetricsServer | null = null;
  const stop = (): void => {
    planes.retire();
    metrics?.close();
    for (const fd of Object.values(own ?? {})) closeSync(fd);
    own = null;
    metrics = null;
  };
  return {
    stop,
    async begin() {
      const sockets = await succession.sockets();
      own = sockets;
      boundSilence(sockets.peers);
      planes.listen(() => ({ peersFd: duplicate(sockets.peers), localFd: duplicate(sockets.local) }));
      log.info({ waypoint: name, version }, 'waypoint is serving');
      meters.fetchFirst(() => planes.told());
      readWaypointMetrics(meters, () => planes.counts);
      readProcessMetrics(meters, {
        ...{ component: 'proxy', version, clock: systemClock },
        ...{ certificates: () => parts.certificates.snapshot(), discovery: parts.discovery, mishaps: parts.mishaps },
      });
      metrics = await serveMetrics(meters, WAYPOINT_PLACE, log);
      await succession.offer(sockets, stop);
    },
  };
}
