import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

const SOURCE = 'spec.rules[].from[].source.';
const OPERATION = 'spec.rules[].to[].operation.';

/** What becomes of each field of an AuthorizationPolicy: nothing in it is left out without that the policy becomes stricter. */
export const AUTHORIZATION_POLICY_FIELDS: FieldTable = {
  'spec.action': {
    is: 'refused',
    why: 'ALLOW, DENY and CUSTOM are enforced; AUDIT is told, as is CUSTOM of policies with a selector, whose nodes see no requests',
  },
  'spec.provider.name': {
    is: 'refused',
    why: 'enforced; one that the mesh configuration does not have is told, and what would have been asked of it is denied',
  },
  'spec.selector.matchLabels': { is: 'enforced' },
  ...eachField('spec.targetRef.', 'group kind name namespace'),
  ...eachField('spec.targetRefs[].', 'group kind name namespace'),
  ...eachField(SOURCE, 'principals notPrincipals namespaces notNamespaces serviceAccounts notServiceAccounts'),
  ...eachField(SOURCE, 'trustDomains notTrustDomains ipBlocks notIpBlocks'),
  ...eachField(SOURCE, 'requestPrincipals notRequestPrincipals', {
    is: 'refused',
    why: 'enforced by waypoints; told of policies with a selector, whose nodes see no requests',
  }),
  ...eachField(SOURCE, 'remoteIpBlocks notRemoteIpBlocks', {
    is: 'refused',
    why: 'told: forwarded addresses are not checked; a rule with it never allows',
  }),
  ...eachField(OPERATION, 'ports notPorts'),
  ...eachField(OPERATION, 'hosts notHosts methods notMethods paths notPaths', {
    is: 'refused',
    why: 'enforced by waypoints; told of policies with a selector, whose nodes see no requests',
  }),
  ...eachField('spec.rules[].when[].', 'key values notValues', {
    is: 'refused',
    why: 'enforced; attributes that are not known, or not where the policy is in force, are told',
  }),
};
