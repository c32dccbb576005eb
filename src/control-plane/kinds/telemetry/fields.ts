import { eachField, type FieldTable, type Silence, type Treatment } from '#control-plane/resources/field-table.ts';
import { SHOWN_VARIABLE } from '#model/telemetry/rules.ts';

const TAG = 'spec.tracing[].customTags.*';

/** Clients of the mesh have no proxy that sees requests: the waypoint before the server tells of them. */
const OF_CLIENTS: Silence = {
  why: 'nobody tells for the side of clients: a waypoint tells for the server',
  remedy: 'write SERVER, or remove match',
};
const MODE: Treatment = { is: 'enforced', except: { CLIENT: OF_CLIENTS } };

/** What becomes of each field of a Telemetry. */
export const TELEMETRY_FIELDS: FieldTable = {
  'spec.selector': {
    is: 'ignored',
    why: 'nodes tell of connections as they do without it: nothing is in force of a Telemetry with a selector',
    remedy: 'write targetRefs: a Service or its waypoint',
    harmless: [{}, { matchLabels: {} }],
  },
  ...eachField('spec.targetRef.', 'group kind name namespace'),
  ...eachField('spec.targetRefs[].', 'group kind name namespace'),
  'spec.accessLogging[].match.mode': MODE,
  'spec.accessLogging[].providers[].name': {
    is: 'refused',
    why: 'enforced is `envoy`, the log of the waypoint; of others it is told',
  },
  'spec.accessLogging[].disabled': { is: 'enforced' },
  'spec.accessLogging[].filter.expression': { is: 'enforced' },
  'spec.tracing[].match.mode': MODE,
  'spec.tracing[].providers': {
    is: 'ignored',
    why: 'spans go to the collector that the operator names, and nowhere else',
    remedy: 'name the collector with --trace-collector of weft control, and remove providers',
    harmless: [[]],
  },
  ...eachField('spec.tracing[].', 'randomSamplingPercentage disableSpanReporting'),
  ...eachField('spec.tracing[].', 'enableIstioTags useRequestIdForTraceSampling disableContextPropagation'),
  ...eachField(`${TAG}.`, 'literal.value header.name header.defaultValue environment.defaultValue'),
  [`${TAG}.environment.name`]: {
    is: 'refused',
    why: `enforced are names that begin with \`${SHOWN_VARIABLE}\`; of others it is told that their default counts`,
  },
  [`${TAG}.formatter`]: {
    is: 'refused',
    why: 'told: Envoy’s operators between % signs are not evaluated, and spans do not have the tag',
  },
  'spec.metrics[].providers[].name': { is: 'refused', why: 'enforced is `prometheus`, the metrics page; of others it is told' },
  'spec.metrics[].reportingInterval': {
    is: 'ignored',
    why: 'bytes of a connection and messages of a call are counted when it ends',
    remedy: 'remove it',
  },
  'spec.metrics[].overrides[].match.metric': { is: 'enforced' },
  'spec.metrics[].overrides[].match.customMetric': {
    is: 'ignored',
    why: 'there is no metric of that name beside those that match.metric names',
    remedy: 'name one by match.metric',
  },
  'spec.metrics[].overrides[].match.mode': MODE,
  'spec.metrics[].overrides[].disabled': { is: 'enforced' },
  'spec.metrics[].overrides[].tagOverrides.*.operation': { is: 'enforced' },
  'spec.metrics[].overrides[].tagOverrides.*.value': { is: 'enforced' },
};
