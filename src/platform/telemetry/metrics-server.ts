import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { PORT } from '#model/mesh/ports.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { systemClock } from '#platform/clock.ts';
import { type Page, type PagePlace, type PageServer, type Pages, servePages } from './page-server.ts';

/** Where a page is served; host null: on every address. */
export type MetricsPlace = PagePlace;

/** A metrics page, as it is now. */
export type MetricsServer = PageServer;

/** Where waypoints serve theirs: in a namespace of their own. */
export const WAYPOINT_PLACE: MetricsPlace = { host: null, port: PORT.stats };

/**
 * Serves the metrics page over HTTP, under Prometheus' path and under Istio's, whose dashboards know names that are in no base unit;
 * `place` null: nowhere; `others`: further pages of the same server. Never rejects, see servePages; counting goes on without it.
 */
export function serveMetrics(
  meters: Meters,
  place: MetricsPlace | null,
  log: Log,
  { clock = systemClock, others = new Map() }: { clock?: Clock; others?: Pages } = {},
): Promise<MetricsServer> {
  const pages: Pages = new Map([
    ['/metrics', () => metricsPageOf(meters, 'base-units')],
    ['/stats/prometheus', () => metricsPageOf(meters, 'istio')],
    ...others,
  ]);
  return servePages({ pages, name: 'metrics page', option: '--stats' }, place, { meters, log, clock });
}

async function metricsPageOf(meters: Meters, names: 'base-units' | 'istio'): Promise<Page> {
  // With the first scrape: where nobody asks, nobody holds what writes pages.
  const { metricsPage, PAGE_TYPE } = await import('./metrics-page.ts');
  // Whoever counts elsewhere and has no time now is shown as it was a moment ago.
  const late = new Promise<void>((resolve) => void systemClock.after(TELEMETRY.fetchMs, resolve));
  await Promise.race([meters.fetched(), late]);
  return { type: PAGE_TYPE, body: await metricsPage(meters.collect(), names) };
}
