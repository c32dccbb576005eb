import { type Mistake, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';

const mistakes: Mistake[] = [
  {
    name: 'two scopes',
    spec: '{ selector: { matchLabels: { a: b } }, targetRefs: [{ kind: Service, name: a }] }',
    at: 'spec',
    says: /selector and targetRefs exclude one another/,
    remedy: /keep targetRefs/,
  },
  {
    name: 'a target of another kind',
    spec: '{ targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: r }] }',
    at: 'spec.targetRefs[0].kind',
    says: /cannot be about a HTTPRoute/,
    remedy: /target a Service/,
  },
  {
    name: 'a target elsewhere',
    spec: '{ targetRefs: [{ kind: Service, name: a, namespace: far }] }',
    at: 'spec.targetRefs[0].namespace',
    says: /namespace far/,
    remedy: /move the Telemetry/,
  },
  {
    name: 'the group of a Gateway',
    spec: '{ targetRef: { kind: Gateway, name: a } }',
    at: 'spec.targetRef.group',
    says: /of group "gateway.networking.k8s.io"/,
    remedy: /write group/,
  },
  {
    name: 'more than all requests',
    spec: '{ tracing: [{ randomSamplingPercentage: 101 }] }',
    at: 'spec.tracing[0].randomSamplingPercentage',
    says: /101/,
    remedy: /100/,
  },
  {
    name: '38: a provider that is not there',
    severity: 'warning',
    spec: '{ accessLogging: [{ providers: [{ name: envoy }, { name: otel }], disabled: true }] }',
    at: 'spec.accessLogging[0].providers[1].name',
    says: /nothing goes to provider "otel": the one provider here is envoy/,
    remedy: /name envoy/,
  },
  {
    name: 'an attribute that is not there',
    spec: '{ accessLogging: [{ filter: { expression: "response.codes >= 400" } }] }',
    at: 'spec.accessLogging[0].filter.expression',
    says: /no attribute response\.codes here \(did you mean response\.code\?\)/,
    remedy: /CEL/,
  },
  {
    name: 'a filter that is neither true nor false',
    spec: '{ accessLogging: [{ filter: { expression: request.method } }] }',
    at: 'spec.accessLogging[0].filter.expression',
    says: /neither true nor false/,
    remedy: /CEL/,
  },
  {
    name: 'the environment of the operator',
    severity: 'warning',
    spec: '{ tracing: [{ customTags: { key: { environment: { name: AWS_SECRET_ACCESS_KEY } } } }] }',
    at: 'spec.tracing[0].customTags.key.environment.name',
    says: /the operator's: AWS_SECRET_ACCESS_KEY is not shown/,
    remedy: /begins with WEFT_TAG_/,
  },
  {
    name: 'operators of Envoy',
    severity: 'warning',
    spec: '{ tracing: [{ customTags: { m: { formatter: { value: "%REQ(:METHOD)%" } } } }] }',
    at: 'spec.tracing[0].customTags.m.formatter',
    says: /not evaluated/,
    remedy: /literal or header/,
  },
  {
    name: '38: a label without its value',
    spec: '{ metrics: [{ overrides: [{ tagOverrides: { host: {} } }] }] }',
    at: 'spec.metrics[0].overrides[0].tagOverrides.host.value',
    says: /tagOverrides.host.value is required for UPSERT/,
    remedy: /request.host/,
  },
  {
    name: 'a label that is removed and has a value',
    spec: '{ metrics: [{ overrides: [{ tagOverrides: { host: { operation: REMOVE, value: request.host } } }] }] }',
    at: 'spec.metrics[0].overrides[0].tagOverrides.host.value',
    says: /does not belong to operation REMOVE/,
    remedy: /remove value/,
  },
  {
    name: 'a label that cannot be evaluated',
    spec: '{ metrics: [{ overrides: [{ tagOverrides: { host: { value: request.hots } } }] }] }',
    at: 'spec.metrics[0].overrides[0].tagOverrides.host.value',
    says: /no attribute request\.hots here \(did you mean request\.host\?\)/,
    remedy: /CEL/,
  },
  {
    name: 'no name of a label',
    spec: '{ metrics: [{ overrides: [{ tagOverrides: { le: { value: request.host } } }] }] }',
    at: 'spec.metrics[0].overrides[0].tagOverrides.le',
    says: /"le" is no name/,
    remedy: /begin with a letter/,
  },
  {
    name: 'a label with a fixed list of values',
    severity: 'warning',
    spec: '{ metrics: [{ overrides: [{ tagOverrides: { response_flags: { value: request.host } } }] }] }',
    at: 'spec.metrics[0].overrides[0].tagOverrides.response_flags',
    says: /response_flags has a fixed list of values/,
    remedy: /label of your own/,
  },
  {
    name: '38: a provider of metrics that is not there',
    severity: 'warning',
    spec: '{ metrics: [{ providers: [{ name: stackdriver }], overrides: [{ disabled: true }] }] }',
    at: 'spec.metrics[0].providers[0].name',
    says: /the one provider here is prometheus/,
    remedy: /name prometheus/,
  },
  {
    name: 'a second entry of tracing',
    severity: 'warning',
    spec: '{ tracing: [{ randomSamplingPercentage: 1 }, { randomSamplingPercentage: 2 }] }',
    at: 'spec.tracing[1]',
    says: /first entry/,
    remedy: /merge/,
  },
  {
    name: 'the side of clients',
    severity: 'warning',
    spec: '{ accessLogging: [{ match: { mode: CLIENT }, disabled: true }] }',
    at: 'spec.accessLogging[0].match.mode',
    says: /a waypoint tells for the server/,
    remedy: /SERVER/,
  },
];
testMistakes('Telemetry', mistakes);

testAccepted('Telemetry', {
  nothing: '{}',
  'of all': '{ accessLogging: [{ disabled: true, providers: [{ name: envoy }], match: { mode: SERVER } }] }',
  'what an API server leaves open':
    '{ accessLogging: [{ disabled: null }], tracing: [{ disableSpanReporting: null, randomSamplingPercentage: 0.25 }] }',
  'a filter': '{ accessLogging: [{ filter: { expression: "response.code >= 400 || has(response.grpc_status)" } }] }',
  tags: '{ tracing: [{ customTags: { a: { literal: { value: x } }, b: { header: { name: X-B, defaultValue: d } }, c: { environment: { name: WEFT_TAG_C } } }, enableIstioTags: false }] }',
  metrics:
    '{ metrics: [{ providers: [{ name: prometheus }], overrides: [{ match: { metric: REQUEST_COUNT, mode: SERVER }, disabled: null, tagOverrides: { response_flags: { operation: REMOVE }, host: { operation: UPSERT, value: request.host } } }] }] }',
  'sizes, and messages of gRPC': `{ metrics: [{ overrides: [${[
    'REQUEST_SIZE',
    'RESPONSE_SIZE',
    'GRPC_REQUEST_MESSAGES',
    'GRPC_RESPONSE_MESSAGES',
  ]
    .map((metric) => `{ match: { metric: ${metric} }, disabled: true }`)
    .join(', ')}] }] }`,
  'a class': '{ targetRefs: [{ group: gateway.networking.k8s.io, kind: GatewayClass, name: weft-waypoint }] }',
});
