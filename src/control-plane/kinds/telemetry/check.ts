import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { checkSelector } from '#control-plane/resources/label-selector.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import type { RawProviders, RawTarget, RawTelemetry, RawTracing } from './schema.ts';

/** Istio's built-in provider of the access log: what goes to standard output. Here it is the log of the waypoint. */
export const LOG_PROVIDER = 'envoy';

/** What the schema cannot say of a Telemetry. */
export function checkTelemetry({ metadata, spec = {} }: RawTelemetry): Problem[] {
  const { selector, targetRef, targetRefs = [], accessLogging = [], tracing = [] } = spec;
  return [
    ...checkScope(spec),
    ...checkSelector(selector),
    ...(targetRef === undefined ? [] : checkTarget(targetRef, metadata.namespace, ['spec', 'targetRef'])),
    ...targetRefs.flatMap((target, at) => checkTarget(target, metadata.namespace, ['spec', 'targetRefs', at])),
    ...accessLogging.flatMap(({ providers }, at) =>
      checkProviders(providers, LOG_PROVIDER, ['spec', 'accessLogging', at, 'providers']),
    ),
    ...checkTracing(tracing),
  ];
}

/** Whoever writes two scopes means one, and nobody could say which. */
function checkScope(spec: NonNullable<RawTelemetry['spec']>): Problem[] {
  const given = (['selector', 'targetRef', 'targetRefs'] as const).filter((name) => spec[name] !== undefined);
  if (given.length < 2) return [];
  const message = `${given.join(' and ')} exclude one another`;
  return [errorAt('WEFT_FIELD_CONFLICT', ['spec'], message, 'keep targetRefs')];
}

/** The kinds that a Telemetry can be about, with the groups by which they are named. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  Service: ['', 'core'],
  Gateway: ['gateway.networking.k8s.io'],
  GatewayClass: ['gateway.networking.k8s.io'],
};

/** As of policies: what is said of others' namespaces would be said over their heads. */
function checkTarget(
  { group = '', kind, namespace = '' }: RawTarget,
  own: string | null | undefined,
  path: FieldPath,
): Problem[] {
  const groups = GROUPS[kind];
  if (groups === undefined) {
    const message = `a Telemetry cannot be about a ${kind} here${didYouMean(kind, Object.keys(GROUPS))}`;
    return [errorAt('WEFT_FIELD_INVALID', [...path, 'kind'], message, 'target a Service, a Gateway or a GatewayClass')];
  }
  if (!groups.includes(group)) {
    const message = `${kind} is of group "${groups[0]}", not "${group}"`;
    return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'group'], message, `write group: "${groups[0]}"`)];
  }
  if (namespace === '' || namespace === own) return [];
  const message = `a Telemetry may not be about namespace ${namespace}`;
  return [errorAt('WEFT_FIELD_INVALID', [...path, 'namespace'], message, 'remove namespace, and move the Telemetry there')];
}

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
  return tracing.slice(1).map((_, at) => {
    const message = 'the first entry of tracing is the only one that counts';
    return warningAt('WEFT_FIELD_IGNORED', ['spec', 'tracing', at + 1], message, 'merge the entries into one');
  });
}
