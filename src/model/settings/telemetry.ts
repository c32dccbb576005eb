import { type SettingGroup, setting, valuesOf } from './setting.ts';

/** Metrics: the rows of the table. */
export const TELEMETRY_SETTINGS = {
  about: {
    title: 'Metrics and log',
    text: 'What one process keeps for its metrics page (see [metrics.md](metrics.md)) and writes to its log.',
  },
  rows: {
    seriesMax: setting(
      5_000,
      'count',
      'Series of one metric, about 2 KiB each; what comes after is counted in one whose open labels say "overflow".',
    ),
    workloadValuesMax: setting(1_000, 'count', 'Values of a label that names workloads, services, identities or versions.'),
    fewValuesMax: setting(200, 'count', 'Values of a label that names namespaces, policies or clusters.'),
    alikeLinesMax: setting(
      50,
      'count',
      'Lines of one workload, sentence and cause that the log takes in one window; the rest are one line with their count.',
    ),
    alikeWindowMs: setting(30_000, 'ms', 'The window of `alikeLinesMax`.'),
    alikeGroupsMax: setting(10_000, 'count', 'Kinds of lines told apart in one window; all further ones share one.'),
    logWaitMs: setting(20, 'ms', 'How long a line of the log waits for others, to leave with them in one write.'),
    logFullWaitMs: setting(
      1_000,
      'ms',
      'How long the log waits before it looks whether a full disk has room again. Some file systems search long for the last of it.',
    ),
    logWaitBytesMax: setting(
      1_048_576,
      'bytes',
      'What waits for a slow reader of the log, or for room on its disk; further lines are left out, counted, and told of later.',
    ),
    logBatchBytes: setting(
      32_768,
      'bytes',
      'So much is written before its time is over: a pipe takes 64 KiB without its reader.',
    ),
    logRoomBytes: setting(4_096, 'bytes', 'Room for waiting lines, and for one that is being built, at first; it doubles.'),
    logKeptRoomBytes: setting(65_536, 'bytes', 'What of that room is kept; more is given back once it is empty.'),
    logValueCharsMax: setting(
      512,
      'count',
      'Characters of one text in a line of the log; what comes after is cut. A client chooses the path of its request.',
    ),
    logFileBytesMax: setting(
      16_777_216,
      'bytes',
      'A log file that Weft opened itself; a full one keeps its newest quarter. Lines of one waypoint or mesh, of some days usually.',
    ),
    mishapLinesMax: setting(
      10,
      'count',
      'Mistakes of the program itself that are written to the log per `mishapPeriodMs` and place; further ones are only counted.',
    ),
    mishapPeriodMs: setting(10_000, 'ms', 'See there.'),
    tracedPercent: setting(1, 'percent', 'Of the requests whose callers have not decided, so many are traced (Istio).'),
    spanBatchMax: setting(
      512,
      'count',
      'Spans that one thread of a waypoint hands over at a time; further ones of that time are left out.',
    ),
    spanBatchMs: setting(1_000, 'ms', 'How long a span waits for others.'),
    spansWaitingMax: setting(
      2_048,
      'count',
      'Spans that wait for the collector; past it the oldest are left out, and counted. A collector that is away costs nothing else.',
    ),
    spanExportMs: setting(3_000, 'ms', "How long a collector may take for a batch (Envoy's time-out)."),
    spanPauseMs: setting(1_000, 'ms', 'Before a batch is sent again that the collector could not take; it doubles.'),
    spanPauseMaxMs: setting(30_000, 'ms', 'The longest such pause.'),
    expressionCharsMax: setting(4_096, 'count', 'Characters of one expression of a Telemetry.'),
    expressionDepthMax: setting(32, 'count', 'How deep its brackets may be nested.'),
    fetchMs: setting(
      200,
      'ms',
      'How long a scrape waits for what data threads have counted; of one that has no time, it shows what it told last.',
    ),
    scrapesMax: setting(8, 'count', 'Scrapes answered at once; a further one gets status 503.'),
    scrapeMs: setting(10_000, 'ms', "How long a scrape's request may take to arrive (Prometheus' own patience)."),
  },
} as const satisfies SettingGroup;

/** Metrics: the numbers. */
export const TELEMETRY = valuesOf(TELEMETRY_SETTINGS);
