import { ENFORCED, eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

const RULE = 'spec.http[].';
const MATCH = 'spec.http[].match[].';
const CHANGES = ['request', 'response'].map((way) => `headers.${way}.add.* headers.${way}.set.* headers.${way}.remove`).join(' ');
const DESTINATION = 'host subset port.number';
const TEXT = (name: string): string => `${name}.exact ${name}.prefix ${name}.regex`;

const LABELS_OF_CLIENTS: FieldTable[string] = {
  is: 'refused',
  why: 'told: a waypoint does not know the labels of clients, so the entry never matches',
};

/** What the entries of tls and tcp have in common. */
function connectionFields(rule: string): FieldTable {
  return {
    [`${rule}match[].sourceLabels`]: LABELS_OF_CLIENTS,
    ...eachField(`${rule}route[].`, 'destination.host destination.subset destination.port.number weight'),
  };
}

/** What becomes of each field of a VirtualService. */
export const VIRTUAL_SERVICE_FIELDS: FieldTable = {
  'spec.hosts': {
    is: 'refused',
    why: 'enforced for services of the mesh; told for wildcards and for hosts that no waypoint serves',
  },
  'spec.gateways': { is: 'refused', why: 'enforced for mesh; told where it is not among them, for nothing is routed then' },
  'spec.exportTo': ENFORCED,
  [`${RULE}name`]: ENFORCED,
  ...eachField(MATCH, 'name ignoreUriCase port gateways sourceNamespace'),
  ...eachField(
    MATCH,
    ['uri', 'scheme', 'method', 'authority', 'headers.*', 'withoutHeaders.*', 'queryParams.*'].map(TEXT).join(' '),
  ),
  [`${MATCH}sourceLabels`]: LABELS_OF_CLIENTS,
  [`${MATCH}statPrefix`]: {
    is: 'ignored',
    why: 'the metrics of a waypoint have no prefixes: requests are counted by service',
    remedy: 'remove it; give the route a name to find it in the log',
  },
  ...eachField(`${RULE}route[].destination.`, DESTINATION),
  ...eachField(`${RULE}route[].`, `weight ${CHANGES}`),
  ...eachField(`${RULE}redirect.`, 'uri authority port derivePort scheme redirectCode'),
  ...eachField(`${RULE}directResponse.`, 'status body.string body.bytes'),
  ...eachField(`${RULE}delegate.`, 'name namespace'),
  ...eachField(`${RULE}rewrite.`, 'uri authority'),
  [`${RULE}rewrite.uriRegexRewrite`]: {
    is: 'refused',
    why: 'told: waypoints do not replace by patterns; requests that match are answered 500',
  },
  ...eachField(RULE, 'timeout mirror_percent mirrorPercent mirrorPercentage.value'),
  ...eachField(`${RULE}retries.`, 'attempts backoff perTryTimeout retryOn'),
  [`${RULE}retries.retryIgnorePreviousHosts`]: {
    is: 'ignored',
    harmless: [true],
    why: 'a further try always prefers an endpoint that was not tried',
    remedy: 'remove it',
  },
  [`${RULE}retries.retryRemoteLocalities`]: {
    is: 'ignored',
    harmless: [false],
    why: 'a further try keeps to the locality preference of its service',
    remedy: 'remove it, or change trafficDistribution of the Service',
  },
  ...eachField(`${RULE}fault.`, 'abort.httpStatus abort.grpcStatus abort.percentage.value'),
  ...eachField(`${RULE}fault.`, 'delay.fixedDelay delay.percent delay.percentage.value'),
  ...eachField(`${RULE}fault.`, 'abort.http2Error delay.exponentialDelay', {
    is: 'refused',
    why: 'Istio does not have it either',
  }),
  ...eachField(`${RULE}mirror.`, DESTINATION),
  ...eachField(`${RULE}mirrors[].`, 'destination.host destination.subset destination.port.number percentage.value'),
  ...eachField(
    `${RULE}corsPolicy.`,
    'allowCredentials allowHeaders allowMethods allowOrigin exposeHeaders maxAge unmatchedPreflights',
  ),
  ...eachField(`${RULE}corsPolicy.`, TEXT('allowOrigins[]')),
  ...eachField(RULE, CHANGES),
  ...eachField('spec.tls[].match[].', 'sniHosts destinationSubnets port gateways sourceNamespace'),
  ...eachField('spec.tcp[].match[].', 'destinationSubnets port gateways sourceNamespace'),
  ...eachField('spec.tcp[].match[].', 'sourceSubnet', {
    is: 'refused',
    why: 'told: the addresses of clients are not compared, so the entry never matches',
  }),
  ...connectionFields('spec.tls[].'),
  ...connectionFields('spec.tcp[].'),
};
