import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';

/** What becomes of each field of a Gateway of a class that Weft runs; those of other classes are their controllers'. */
export const GATEWAY_FIELDS: FieldTable = {
  'spec.gatewayClassName': { is: 'enforced' },
  'spec.listeners[].name': { is: 'enforced' },
  ...eachField('spec.listeners[].', 'port protocol', {
    is: 'refused',
    why: 'a waypoint serves HBONE on port 15008; any other listener is told and not served',
  }),
  'spec.listeners[].hostname': {
    is: 'ignored',
    why: 'a waypoint takes every request for the services that name it, whatever its host',
    remedy: 'remove it; choose requests by host with an AuthorizationPolicy: operation.hosts',
  },
  'spec.listeners[].tls': {
    is: 'ignored',
    why: 'the mesh makes the certificates of a waypoint, and what workloads encrypt themselves is not opened',
    remedy: 'remove it',
  },
  'spec.listeners[].allowedRoutes.kinds': {
    is: 'ignored',
    harmless: [[]],
    why: 'routes attach to the services of a waypoint, not to it, so that it cannot choose among their kinds',
    remedy: 'remove it; who may write routes is decided by the rights to their namespace',
  },
  'spec.listeners[].allowedRoutes.namespaces.from': { is: 'enforced' },
  'spec.listeners[].allowedRoutes.namespaces.selector.matchLabels': { is: 'enforced' },
  ...eachField('spec.listeners[].allowedRoutes.namespaces.selector.matchExpressions[].', 'key operator values'),
  'spec.addresses': {
    is: 'ignored',
    harmless: [[]],
    why: 'a waypoint gets its address from the mesh',
    remedy: 'remove it; status.addresses says which one it has',
  },
  'spec.allowedListeners': {
    is: 'ignored',
    harmless: [{ namespaces: { from: 'None' } }],
    why: 'a waypoint has the listeners that are written in its Gateway, and takes none of others',
    remedy: 'remove it',
  },
  'spec.infrastructure.labels': { is: 'enforced' },
  'spec.infrastructure.annotations': {
    is: 'elsewhere',
    why: 'on a cluster they are put on the objects that run the waypoint, for others to read',
  },
  'spec.infrastructure.parametersRef': {
    is: 'ignored',
    why: 'what runs a waypoint is the same for all of them',
    remedy: 'remove it',
  },
  'spec.tls': {
    is: 'ignored',
    harmless: [{}],
    why: 'the mesh makes the certificates of a waypoint and checks those of its peers',
    remedy: 'remove it; require certificates with a PeerAuthentication',
  },
};
