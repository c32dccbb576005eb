import { type SettingGroup, setting, valuesOf } from './setting.ts';

/** Metrics: the rows of the table. */
export const TELEMETRY_SETTINGS = {
  about: { title: 'Metrics', text: 'What one process keeps for its metrics page; see [metrics.md](metrics.md).' },
  rows: {
    seriesMax: setting(
      5_000,
      'count',
      'Series of one metric, about 2 KiB each; what comes after is counted in one whose open labels say "overflow".',
    ),
    workloadValuesMax: setting(1_000, 'count', 'Values of a label that names workloads, services, identities or versions.'),
    fewValuesMax: setting(200, 'count', 'Values of a label that names namespaces, policies or clusters.'),
    scrapesMax: setting(8, 'count', 'Scrapes answered at once; a further one gets status 503.'),
    scrapeMs: setting(10_000, 'ms', "How long a scrape's request may take to arrive (Prometheus' own patience)."),
  },
} as const satisfies SettingGroup;

/** Metrics: the numbers. */
export const TELEMETRY = valuesOf(TELEMETRY_SETTINGS);
