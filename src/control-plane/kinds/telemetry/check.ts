import { type Attachment, checkAttachment } from '#control-plane/resources/attachment.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { checkSelector } from '#control-plane/resources/label-selector.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { compileFilter } from '#model/expression/expression.ts';
import { SHOWN_VARIABLE } from '#model/telemetry/rules.ts';
import { checkOverride, faultOf } from './check-metrics.ts';
import type { RawLogging, RawProviders, RawTelemetry, RawTracing } from './schema.ts';

/** Istio's built-in provider of the access log: what goes to standard output. Here it is the log of the waypoint. */
export const LOG_PROVIDER = 'envoy';

/** Istio's built-in provider of metrics: the page that Prometheus asks for. */
export const METRICS_PROVIDER = 'prometheus';

/** What the schema cannot say of a Telemetry. */
export function checkTelemetry({ metadata, spec = {} }: RawTelemetry): Problem[] {
  const { selector, targetRef, targetRefs = [], accessLogging = [], tracing = [], metrics = [] } = spec;
  return [
    ...checkScope(spec),
    ...checkSelector(selector),
    ...(targetRef === undefined ? [] : checkAttachment(targetRef, metadata.namespace, ['spec', 'targetRef'], ABOUT)),
    ...targetRefs.flatMap((target, at) => checkAttachment(target, metadata.namespace, ['spec', 'targetRefs', at], ABOUT)),
    ...accessLogging.flatMap(({ providers, filter }, at) => [
      ...checkProviders(providers, LOG_PROVIDER, ['spec', 'accessLogging', at, 'providers']),
      ...checkFilter(filter, ['spec', 'accessLogging', at]),
    ]),
    ...checkTracing(tracing),
    ...metrics.flatMap(({ providers, overrides = [] }, at) => [
      ...checkProviders(providers, METRICS_PROVIDER, ['spec', 'metrics', at, 'providers']),
      ...overrides.flatMap((one, index) => checkOverride(one, ['spec', 'metrics', at, 'overrides', index])),
    ]),
  ];
}

/** Whoever writes two scopes means one, and nobody could say which. */
function checkScope(spec: NonNullable<RawTelemetry['spec']>): Problem[] {
  const given = (['selector', 'targetRef', 'targetRefs'] as const).filter((name) => spec[name] !== undefined);
  if (given.length < 2) return [];
  const message = `${given.join(' and ')} exclude one another`;
  return [errorAt('WEFT_FIELD_CONFLICT', ['spec'], message, 'keep targetRefs')];
}

const ABOUT: Attachment = {
  what: 'Telemetry',
  groups: {
    Service: ['', 'core'],
    ServiceEntry: ['networking.istio.io'],
    Gateway: ['gateway.networking.k8s.io'],
    GatewayClass: ['gateway.networking.k8s.io'],
  },
  refused: (kind) => `a Telemetry cannot be about a ${kind} here${didYouMean(kind, Object.keys(ABOUT.groups))}`,
  remedy: 'target a Service, a ServiceEntry, a Gateway or a GatewayClass',
};

/** What is said for other providers must not change what ours tells: it is left out, and told. */
function checkProviders(providers: RawProviders | undefined, ours: string, path: FieldPath): Problem[] {
  const others = (providers ?? []).flatMap(({ name }, at) => (name === ours ? [] : [{ name, at }]));
  return others.map(({ name, at }) => {
    const message = `nothing goes to provider "${name}": the one provider here is ${ours}`;
    return warningAt('WEFT_FIELD_IGNORED', [...path, at, 'name'], message, `name ${ours}, or remove providers`);
  });
}

/** There is one collector, which the operator names: whatever is called a provider, spans go there. */
function checkTracing(tracing: readonly RawTracing[]): Problem[] {
  // Istio has a list here for a day that has not come.
  const others = tracing.slice(1).map((_, at) => {
    const message = 'the first entry of tracing is the only one that counts';
    return warningAt('WEFT_FIELD_IGNORED', ['spec', 'tracing', at + 1], message, 'merge the entries into one');
  });
  return [...checkTags(tracing[0]?.customTags ?? {}), ...others];
}

/** A waypoint has the environment of whoever runs it, and whoever writes a Telemetry may be somebody else. */
function checkTags(tags: NonNullable<RawTracing['customTags']>): Problem[] {
  return Object.entries(tags).flatMap(([tag, { environment, formatter }]) => {
    const path = ['spec', 'tracing', 0, 'customTags', tag];
    if (formatter !== undefined) {
      const message = 'operators of Envoy between % signs are not evaluated: spans do not have this tag';
      return [warningAt('WEFT_FIELD_IGNORED', [...path, 'formatter'], message, 'use literal or header')];
    }
    if (environment === undefined || environment.name.startsWith(SHOWN_VARIABLE)) return [];
    const message = `the environment is the operator's: ${environment.name} is not shown, and defaultValue counts`;
    const remedy = `name a variable that begins with ${SHOWN_VARIABLE}, and let the operator set it for the waypoint`;
    return [warningAt('WEFT_FIELD_IGNORED', [...path, 'environment', 'name'], message, remedy)];
  });
}

/** What cannot be evaluated refuses the resource: its last good version goes on, and no line is left out by mistake. */
function checkFilter(filter: RawLogging['filter'], path: FieldPath): Problem[] {
  const outcome = filter?.expression ? compileFilter(filter.expression) : null;
  if (outcome === null || outcome.kind === 'compiled') return [];
  return [faultOf(outcome, [...path, 'filter', 'expression'])];
}
