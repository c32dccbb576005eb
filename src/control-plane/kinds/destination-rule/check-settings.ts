import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { checkBalancer } from './check-balancer.ts';
import { checkLocality } from './check-locality.ts';
import { checkTls } from './read-tls.ts';
import type { RawBlocks, RawConnectionPool, RawOutlierDetection, RawTrafficSettings } from './schema.ts';

/** What is wrong with limits, times and detection, those of ports included. `above`: what holds where this says nothing. */
export function checkSettings(policy: RawTrafficSettings | undefined, path: FieldPath, above?: RawTrafficSettings): Problem[] {
  const { portLevelSettings = [] } = policy ?? {};
  const ports = portLevelSettings.flatMap((one, at) => {
    const place = [...path, 'portLevelSettings', at];
    return [...checkPort(one.port?.number, at, portLevelSettings, place), ...checkBlocks(one, place, {})];
  });
  return [...checkBlocks(policy ?? {}, path, above ?? {}), ...ports];
}

/** A second entry for a port would be hidden by the first in silence. */
function checkPort(
  number: number | undefined,
  at: number,
  all: NonNullable<RawTrafficSettings['portLevelSettings']>,
  path: FieldPath,
): Problem[] {
  const place = [...path, 'port', 'number'];
  if (number === undefined || number < 1 || number > 65_535)
    return [
      errorAt('WEFT_FIELD_INVALID', place, `${number ?? 'nothing'} is no port`, 'write the number of a port of the service'),
    ];
  if (all.findIndex(({ port }) => port?.number === number) === at) return [];
  return [errorAt('WEFT_FIELD_CONFLICT', place, `port ${number} is listed twice`, 'remove one of them')];
}

/** Those that a port may have, too. */
function checkBlocks(
  { loadBalancer, connectionPool, outlierDetection, tls }: RawBlocks,
  path: FieldPath,
  above: RawBlocks,
): Problem[] {
  const locality = loadBalancer?.localityLbSetting;
  // As it will be looked up: this level's, or else that of the level above.
  const detects = (outlierDetection ?? above.outlierDetection) !== undefined;
  return [
    ...(locality === undefined ? [] : checkLocality(locality, [...path, 'loadBalancer', 'localityLbSetting'], detects)),
    ...(loadBalancer === undefined ? [] : checkBalancer(loadBalancer, [...path, 'loadBalancer'])),
    ...(connectionPool === undefined ? [] : checkPool(connectionPool, [...path, 'connectionPool'])),
    ...(outlierDetection === undefined ? [] : checkDetection(outlierDetection, [...path, 'outlierDetection'])),
    ...checkTls(tls, path),
  ];
}

/** A longer connectTimeout is no mistake: it is only not kept to, and its author is told. */
function checkPool({ tcp = {}, http = {} }: RawConnectionPool, path: FieldPath): Problem[] {
  const numbers = [
    { field: ['tcp', 'maxConnections'], value: tcp.maxConnections },
    ...(['http1MaxPendingRequests', 'http2MaxRequests', 'maxRequestsPerConnection', 'maxRetries'] as const).map((name) => ({
      field: ['http', name],
      value: http[name],
    })),
  ];
  const connectMs = tcp.connectTimeout === undefined ? 0 : (goDurationMs(tcp.connectTimeout) ?? 0);
  const late = `no connection takes longer than ${TUNNEL.connectTimeoutMs / 1_000}s, so ${tcp.connectTimeout} is that`;
  return [
    ...numbers.flatMap(({ field, value }) => notNegative(value, [...path, ...field])),
    ...checkDuration(tcp.connectTimeout, [...path, 'tcp', 'connectTimeout']),
    ...checkDuration(tcp.maxConnectionDuration, [...path, 'tcp', 'maxConnectionDuration']),
    ...checkDuration(tcp.idleTimeout, [...path, 'tcp', 'idleTimeout'], 0),
    ...checkDuration(http.idleTimeout, [...path, 'http', 'idleTimeout']),
    ...(connectMs > TUNNEL.connectTimeoutMs
      ? [warningAt('WEFT_FIELD_IGNORED', [...path, 'tcp', 'connectTimeout'], late, 'write 10s or less')]
      : []),
  ];
}

/** Istio refuses the same (validateOutlierDetection). */
function checkDetection(detection: RawOutlierDetection, path: FieldPath): Problem[] {
  const { splitExternalLocalOriginErrors, consecutiveLocalOriginFailures, interval, baseEjectionTime } = detection;
  const problems = [
    ...percentage(detection.maxEjectionPercent, [...path, 'maxEjectionPercent']),
    ...percentage(detection.minHealthPercent, [...path, 'minHealthPercent']),
    ...checkDuration(interval, [...path, 'interval']),
    ...checkDuration(baseEjectionTime, [...path, 'baseEjectionTime']),
  ];
  if (consecutiveLocalOriginFailures != null && splitExternalLocalOriginErrors !== true) {
    const message = 'without splitExternalLocalOriginErrors these failures are not counted apart';
    const place = [...path, 'consecutiveLocalOriginFailures'];
    problems.push(errorAt('WEFT_FIELD_CONFLICT', place, message, 'write splitExternalLocalOriginErrors: true'));
  }
  return problems;
}

/** 0 is as if nothing was written. */
function notNegative(value: number | undefined, path: FieldPath): Problem[] {
  if (value === undefined || value >= 0) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `${value} is below 0`, 'write a number from 1 on, or remove it')];
}

/** The schema bounds none of them. */
function percentage(value: number | undefined, path: FieldPath): Problem[] {
  if (value === undefined || (value >= 0 && value <= 100)) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `${value} is no percentage`, 'write a number from 0 to 100')];
}

/** The schema compares, and takes what a comparison cannot read. */
function checkDuration(text: string | undefined, path: FieldPath, leastMs = 1): Problem[] {
  const milliseconds = text === undefined ? leastMs : goDurationMs(text);
  if (milliseconds !== null && milliseconds >= leastMs) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `"${text}" is no time of ${leastMs}ms or more`, 'write one such as 10s')];
}
