import { CLOSE_CAUSES, DOOR_CAUSES, RESPONSE_FLAGS } from '../../src/model/telemetry/close-cause.ts';
import { LABELS } from '../../src/model/telemetry/labels.ts';
import { ACCESS_FIELDS, LOG_FIELDS } from '../../src/model/telemetry/log-fields.ts';
import { METRICS, type MetricDefinition } from '../../src/model/telemetry/metrics.ts';
import { CONTROL_REFUSALS } from '../../src/model/trust/refusal.ts';
import { isTest, type SourceFile, withoutComments } from './source-files.ts';

const TABLE = 'src/model/telemetry/metrics.ts';
const NAME = /'((?:istio|weft|process)_[a-z0-9]+(?:_[a-z0-9]+)*)'/g;

/** Names that look like metrics in product code outside the table, with the file of each. */
function usedNames(files: readonly SourceFile[]): { name: string; path: string }[] {
  const used: { name: string; path: string }[] = [];
  for (const { path, text } of files) {
    if (isTest(path) || path === TABLE || !path.startsWith('src/')) continue;
    for (const [, name = ''] of withoutComments(text).matchAll(NAME)) used.push({ name, path });
  }
  return used;
}

/** Names used in code that the table does not have, and rows of the table that no code counts. */
export function metricProblems(
  files: readonly SourceFile[],
  table: Readonly<Record<string, MetricDefinition>> = METRICS,
): string[] {
  // A name counts as used where meters are: other words may look the same.
  const counting = files.filter(({ text }) => /\bmeters?\b/i.test(text));
  const used = usedNames(counting);
  const known = new Set(used.map(({ name }) => name));
  return [
    ...used.filter(({ name }) => !(name in table)).map(({ name, path }) => `${path}: ${name} is not in ${TABLE}`),
    ...Object.keys(table)
      .filter((name) => !known.has(name))
      .map((name) => `${TABLE}: nothing counts ${name}`),
  ];
}

/** docs/metrics.md as the tables of src/model/telemetry say it. */
export function metricsDocument(): string {
  const lines = [
    '# Metrics and log fields',
    '',
    'Written by `node scripts/metrics-page.ts` from the tables in `src/model/telemetry`; a metric, label, cause or field is added there.',
    '',
    '| process | page |',
    '|---|---|',
    '| `weft agent` | `http://127.0.0.1:15020/metrics` on its node; `--stats HOST:PORT` moves it, `--stats off` leaves it out, `weft status` shows it |',
    '| `weft control` | `http://127.0.0.1:15014/metrics` on its machine; `--stats HOST:PORT` moves it, `--stats off` leaves it out |',
    '| waypoint | `http://WAYPOINT:15020/metrics`, in its own network namespace |',
    '',
    '`/stats/prometheus` is the same page, but for names of Istio that are in no base unit: those are in seconds on `/metrics`, as',
    "Prometheus' linter wants them. Names and labels are those of Istio and ztunnel where they have one.",
    '',
    '## Metrics',
    '',
    '| name | type | unit | of | labels | what |',
    '|---|---|---|---|---|---|',
    ...Object.entries(METRICS as Readonly<Record<string, MetricDefinition>>).map(metricRow),
    '',
    '## Labels',
    '',
    'A label set beyond a bound is counted under `overflow`, and `weft_metrics_overflow_total` says so. What is not known is `unknown`.',
    '',
    '| label | what | values |',
    '|---|---|---|',
    ...Object.entries(LABELS).map(([name, { help, bound }]) => `| \`${name}\` | ${help} | ${boundText(bound)} |`),
    '',
    ...causeSections(),
    '## Fields of the access log',
    '',
    'One line at the end of each connection or request; what is not known is left out. A waypoint that is told `--access-log-format` writes text',
    'in its place ([rules/waypoint.md](rules/waypoint.md), W70).',
    '',
    '| field | what |',
    '|---|---|',
    ...Object.entries(ACCESS_FIELDS).map(([name, means]) => `| \`${name}\` | ${means} |`),
    '',
    '## Fields of other lines',
    '',
    'Where a line tells what the access log tells, it has the field of the access log.',
    '',
    '| field | what |',
    '|---|---|',
    ...Object.entries(LOG_FIELDS).map(([name, means]) => `| \`${name}\` | ${means} |`),
  ];
  return `${lines.join('\n')}\n`;
}

function causeSections(): string[] {
  const plain = (title: string, label: string, causes: Readonly<Record<string, string>>) => [
    ...[`## ${title}`, '', `| ${label} | what |`, '|---|---|'],
    ...[...Object.entries(causes).map(([name, means]) => `| \`${name}\` | ${means} |`), ''],
  ];
  return [
    ...['## Causes of refusals', '', '| cause | flag | what |', '|---|---|---|'],
    ...[...Object.entries(CLOSE_CAUSES).map(([name, { flag, means }]) => `| \`${name}\` | ${flag} | ${means} |`), ''],
    ...plain('Why connections that had proved nothing are closed', 'closed_for', DOOR_CAUSES),
    ...plain('What the control plane refuses', 'refusal', CONTROL_REFUSALS),
    ...['## Response flags', '', '| flag | of | what |', '|---|---|---|'],
    ...[...Object.entries(RESPONSE_FLAGS).map(([name, { of, means }]) => `| \`${name}\` | ${of} | ${means} |`), ''],
  ];
}

function metricRow([name, { type, unit, help, labels, of, inBaseUnit }]: [string, MetricDefinition]): string {
  const told = inBaseUnit === undefined ? `\`${name}\`` : `\`${name}\`; on \`/metrics\` \`${inBaseUnit.name}\``;
  return `| ${told} | ${type} | ${unit} | ${of.join(', ')} | ${labelsText(labels)} | ${help} |`;
}

/** Istio's long lists by name, so that a row stays readable. */
function labelsText(labels: readonly string[]): string {
  if (labels.length < 20) return labels.map((label) => `\`${label}\``).join(', ');
  const request = labels.includes('response_code');
  return `Istio's labels of ${request ? 'requests' : 'TCP connections'}: from \`reporter\` to ${request ? '`grpc_response_status`' : '`connection_security_policy`'}`;
}

function boundText(bound: number | readonly string[]): string {
  if (typeof bound === 'number') return `at most ${bound.toLocaleString('en-US')}`;
  return bound.length > 10 ? 'a list, below' : bound.map((value) => `\`${value}\``).join(', ');
}
