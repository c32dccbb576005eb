import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

const MATCH = 'spec.rules[].matches[].';
const FILTER = 'spec.rules[].filters[].';
const CHANGES = 'add[].name add[].value set[].name set[].value remove';

/** What becomes of each field of an HTTPRoute. */
export const HTTP_ROUTE_FIELDS: FieldTable = {
  'spec.hostnames': { is: 'refused', why: 'told: a route is chosen by the address that was dialled' },
  // Parents of other controllers are left to those.
  ...eachField('spec.parentRefs[].', 'group kind name namespace port sectionName'),
  'spec.rules[].name': { is: 'enforced' },
  ...eachField(MATCH, 'method path.type path.value'),
  ...eachField(MATCH, 'headers[].name headers[].type headers[].value'),
  ...eachField(MATCH, 'queryParams[].name queryParams[].type queryParams[].value'),
  [`${FILTER}type`]: { is: 'enforced' },
  ...eachField(`${FILTER}requestHeaderModifier.`, CHANGES),
  ...eachField(`${FILTER}responseHeaderModifier.`, CHANGES),
  // A rule of which a part is left out would do something else than its author wrote.
  ...eachField(FILTER, 'cors extensionRef requestMirror requestRedirect urlRewrite', {
    is: 'refused',
    why: 'told: waypoints do not have this filter; requests that match the rule are answered 500',
  }),
  ...eachField('spec.rules[].backendRefs[].', 'group kind name namespace port weight'),
  'spec.rules[].backendRefs[].filters': {
    is: 'refused',
    why: 'told: filters of a single backend are not supported; its share is answered 500',
  },
  ...eachField('spec.rules[].timeouts.', 'backendRequest request'),
};
