import type { Workload, WorkloadKind } from '#model/mesh/workload.ts';

/** What the `baggage` header says about a workload: for telemetry, never for decisions. '' when unknown. */
export type Baggage = {
  cluster: string;
  namespace: string;
  workloadKind: WorkloadKind;
  workloadName: string;
  serviceName: string;
  serviceVersion: string;
  region: string;
  zone: string;
};

/** Baggage that says nothing. */
export const EMPTY_BAGGAGE: Baggage = {
  cluster: '',
  namespace: '',
  workloadKind: 'deployment',
  workloadName: '',
  serviceName: '',
  serviceVersion: '',
  region: '',
  zone: '',
};

const KINDS: readonly WorkloadKind[] = ['deployment', 'cronjob', 'pod', 'job'];

/** What peers are told about `workload`. */
export function baggageOf(workload: Workload): Baggage {
  return {
    cluster: workload.clusterId,
    namespace: workload.namespace,
    workloadKind: workload.workloadKind,
    workloadName: workload.workloadName,
    serviceName: workload.canonicalName,
    serviceVersion: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  };
}

/** Records are replaced whole when they change, so their identity stands for what they say. */
const baggageTexts = new WeakMap<Workload, string>();

/** The same as it is written in headers. */
export function baggageTextOf(workload: Workload): string {
  let text = baggageTexts.get(workload);
  if (text === undefined) {
    text = formatBaggage(baggageOf(workload));
    baggageTexts.set(workload, text);
  }
  return text;
}

/** Readers split at commas and do not decode, so a value can only lose what would break the form. */
function plain(value: string): string {
  return value.replaceAll(/[^\x21-\x7e]|[,;]/g, '');
}

/** `key=value` pairs, comma-joined without spaces or percent-encoding; empty values are left out. */
export function formatBaggage(baggage: Baggage): string {
  const pairs: [string, string][] = [
    ['k8s.cluster.name', baggage.cluster],
    ['k8s.namespace.name', baggage.namespace],
    [`k8s.${baggage.workloadKind}.name`, baggage.workloadName],
    ['service.name', baggage.serviceName],
    ['service.version', baggage.serviceVersion],
    ['cloud.region', baggage.region],
    ['cloud.availability_zone', baggage.zone],
  ];
  return pairs
    .map(([key, value]) => [key, plain(value)])
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Reads what a peer wrote; unknown keys are ignored, missing ones are ''. */
export function parseBaggage(text: string): Baggage {
  const baggage = { ...EMPTY_BAGGAGE };
  for (const pair of text.split(',')) {
    const equals = pair.indexOf('=');
    if (equals < 0) continue;
    assignField(baggage, pair.slice(0, equals).trim(), pair.slice(equals + 1).trim());
  }
  return baggage;
}

function assignField(baggage: Baggage, key: string, value: string): void {
  const kind = KINDS.find((candidate) => key === `k8s.${candidate}.name`);
  if (kind !== undefined) {
    baggage.workloadKind = kind;
    baggage.workloadName = value;
    return;
  }
  switch (key) {
    case 'k8s.cluster.name':
      baggage.cluster = value;
      break;
    case 'k8s.namespace.name':
      baggage.namespace = value;
      break;
    case 'service.name':
      baggage.serviceName = value;
      break;
    case 'service.version':
      baggage.serviceVersion = value;
      break;
    case 'cloud.region':
      baggage.region = value;
      break;
    case 'cloud.availability_zone':
      baggage.zone = value;
      break;
  }
}

/** Fixed by W3C Trace Context 3.2.2: trace and span identifier. */
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
const FORM = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** A W3C traceparent with fresh identifiers, not sampled. `randomBytes(n)` returns n random bytes. */
export function newTraceparent(randomBytes: (count: number) => Uint8Array): string {
  const { buffer, byteOffset, length } = randomBytes(TRACE_BYTES + SPAN_BYTES);
  const bytes = Buffer.from(buffer, byteOffset, length);
  return `00-${bytes.toString('hex', 0, TRACE_BYTES)}-${bytes.toString('hex', TRACE_BYTES)}-00`;
}

/** The identifiers of a traceparent, or null when it is malformed or all zeros. */
export function parseTraceparent(text: string): { traceId: string; spanId: string } | null {
  const match = FORM.exec(text);
  const [, traceId = '', spanId = ''] = match ?? [];
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return null;
  return { traceId, spanId };
}
