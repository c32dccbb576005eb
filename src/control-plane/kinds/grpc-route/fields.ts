import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

const MATCH = 'spec.rules[].matches[].';
const FILTER = 'spec.rules[].filters[].';
const BACKEND_FILTER = 'spec.rules[].backendRefs[].filters[].';
const CHANGES = 'add[].name add[].value set[].name set[].value remove';

/** What becomes of each field of a GRPCRoute. */
export const GRPC_ROUTE_FIELDS: FieldTable = {
  'spec.hostnames': { is: 'refused', why: 'told: a route is chosen by the address that was dialled' },
  // Parents of other controllers are left to those.
  ...eachField('spec.parentRefs[].', 'group kind name namespace port sectionName'),
  'spec.rules[].name': { is: 'enforced' },
  ...eachField(MATCH, 'method.type method.service method.method'),
  ...eachField(MATCH, 'headers[].name headers[].type headers[].value'),
  [`${FILTER}type`]: { is: 'enforced' },
  ...eachField(`${FILTER}requestHeaderModifier.`, CHANGES),
  ...eachField(`${FILTER}responseHeaderModifier.`, CHANGES),
  ...eachField(`${FILTER}requestMirror.`, 'percent fraction.numerator fraction.denominator'),
  ...eachField(`${FILTER}requestMirror.backendRef.`, 'group kind name namespace port'),
  // A rule of which a part is left out would do something else than its author wrote.
  [`${FILTER}extensionRef`]: {
    is: 'refused',
    why: 'told: waypoints do not have this filter; calls that match the rule are answered UNAVAILABLE',
  },
  ...eachField('spec.rules[].backendRefs[].', 'group kind name namespace port weight'),
  [`${BACKEND_FILTER}type`]: { is: 'enforced' },
  ...eachField(`${BACKEND_FILTER}requestHeaderModifier.`, CHANGES),
  ...eachField(`${BACKEND_FILTER}responseHeaderModifier.`, CHANGES),
  ...eachField(BACKEND_FILTER, 'extensionRef requestMirror', {
    is: 'refused',
    why: 'told: this filter is for a whole rule; the share of the backend is answered UNAVAILABLE',
  }),
  ...eachField('spec.rules[].sessionPersistence.', 'sessionName absoluteTimeout type cookieConfig.lifetimeType'),
  'spec.useDefaultGateways': {
    is: 'ignored',
    harmless: ['None'],
    why: 'waypoints are not default Gateways: a route serves the Services that parentRefs names',
    remedy: 'name the Services in parentRefs',
  },
};
