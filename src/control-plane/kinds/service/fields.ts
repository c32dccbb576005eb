import { ENFORCED, eachField, type FieldTable, type Silence } from '#control-plane/resources/field-table.ts';

/** SCTP is carried by nothing here. */
const SCTP: Silence = {
  why: 'the mesh carries TCP and UDP: what is sent to this port as SCTP goes to no endpoint of the service',
  remedy: 'send SCTP to the endpoints themselves, or remove the port',
};

/** Weft opens nothing towards the outside. */
function onlyInside(type: string): Silence {
  return {
    why: `type ${type} is taken for ClusterIP: the service is reached inside the mesh, and no port is opened to the outside`,
    remedy: 'let a gateway of yours lead into the mesh, and write type: ClusterIP',
  };
}

/** What becomes of each field of a Service. */
export const SERVICE_FIELDS: FieldTable = {
  'spec.type': { is: 'enforced', except: { NodePort: onlyInside('NodePort'), LoadBalancer: onlyInside('LoadBalancer') } },
  'spec.selector': ENFORCED,
  ...eachField('spec.ports[].', 'name port targetPort appProtocol'),
  'spec.ports[].protocol': { is: 'enforced', except: { SCTP } },
  'spec.ports[].nodePort': {
    is: 'ignored',
    harmless: [0],
    why: 'no port of the nodes is opened',
    remedy: 'let a gateway of yours lead into the mesh, and remove it',
  },
  ...eachField('spec.', 'clusterIP clusterIPs ipFamilies internalTrafficPolicy publishNotReadyAddresses'),
  'spec.ipFamilyPolicy': { is: 'refused', why: 'told where it asks for other families than `ipFamilies`, which decides' },
  'spec.trafficDistribution': { is: 'refused', why: 'enforced; told where its value is unknown' },
  'spec.externalName': ENFORCED,
  'spec.externalIPs': {
    is: 'ignored',
    harmless: [[]],
    why: 'addresses from outside the mesh do not lead to the service',
    remedy: 'write them in spec.clusterIPs, or let a gateway of yours lead into the mesh',
  },
  'spec.externalTrafficPolicy': {
    is: 'ignored',
    harmless: ['Cluster', ''],
    why: 'nothing comes from outside the mesh by the service, so this chooses between no endpoints',
    remedy: 'remove it; for clients of the mesh write internalTrafficPolicy',
  },
  'spec.healthCheckNodePort': {
    is: 'ignored',
    harmless: [0],
    why: 'no port of the nodes is opened',
    remedy: 'remove it',
  },
  'spec.loadBalancerIP': { is: 'ignored', harmless: [''], why: 'no load balancer is made', remedy: 'remove it' },
  'spec.loadBalancerSourceRanges': {
    is: 'ignored',
    harmless: [[]],
    why: 'no load balancer is made, and clients of the mesh are not restricted by it',
    remedy: 'restrict clients with an AuthorizationPolicy: source.ipBlocks',
  },
  ...eachField('spec.', 'allocateLoadBalancerNodePorts loadBalancerClass', {
    is: 'elsewhere',
    why: 'details of a load balancer; that none is made is told of the type',
  }),
  'spec.sessionAffinity': ENFORCED,
  'spec.sessionAffinityConfig.clientIP.timeoutSeconds': ENFORCED,
};
