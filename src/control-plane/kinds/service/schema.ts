import type { RawMetadata } from '#control-plane/resources/metadata.ts';
import { ANYTHING, DNS_LABEL, FLAG, fields, LABELS, list, PORT, type Schema, TEXT } from '#control-plane/resources/schema.ts';

/** A port as written. */
export type RawServicePort = {
  name?: string;
  port: number;
  targetPort?: number | string;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  appProtocol?: string;
};

/** The document, once its schema has passed. */
export type RawService = {
  metadata: RawMetadata;
  spec: {
    type?: string;
    selector?: Record<string, string> | null;
    ports?: RawServicePort[];
    clusterIP?: string;
    clusterIPs?: string[];
    ipFamilies?: ('IPv4' | 'IPv6')[];
    ipFamilyPolicy?: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
    internalTrafficPolicy?: string;
    trafficDistribution?: string;
    publishNotReadyAddresses?: boolean;
    externalName?: string;
    sessionAffinity?: '' | 'None' | 'ClientIP';
    sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
  };
};

/** Fixed by Kubernetes: a day. */
const AFFINITY_TIMEOUT_MAX_S = 86_400;

/** A number, or the name of a container's port. */
const TARGET_PORT: Schema = { 'x-kubernetes-int-or-string': true };

const SERVICE_PORT: Schema = {
  type: 'object',
  required: ['port'],
  properties: {
    name: { type: 'string', maxLength: 63, pattern: `^$|${DNS_LABEL}` },
    port: PORT,
    targetPort: TARGET_PORT,
    protocol: { type: 'string', enum: ['TCP', 'UDP', 'SCTP'] },
    appProtocol: TEXT,
    nodePort: { type: 'integer', minimum: 0, maximum: 65_535 },
  },
};

/** Source: Kubernetes core/v1 Service. */
export const SERVICE_SCHEMA: Schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        type: { type: 'string', enum: ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] },
        selector: LABELS,
        ports: list(SERVICE_PORT),
        clusterIP: TEXT,
        clusterIPs: list(TEXT),
        ipFamilies: list({ type: 'string', enum: ['IPv4', 'IPv6'] }),
        ipFamilyPolicy: { type: 'string', enum: ['SingleStack', 'PreferDualStack', 'RequireDualStack'] },
        internalTrafficPolicy: { type: 'string', enum: ['Cluster', 'Local'] },
        trafficDistribution: TEXT,
        publishNotReadyAddresses: FLAG,
        externalName: TEXT,
        ...fields('externalIPs externalTrafficPolicy healthCheckNodePort allocateLoadBalancerNodePorts'),
        ...fields('loadBalancerClass loadBalancerIP loadBalancerSourceRanges'),
        sessionAffinity: { type: 'string', enum: ['', 'None', 'ClientIP'] },
        sessionAffinityConfig: {
          type: 'object',
          properties: {
            clientIP: {
              type: 'object',
              properties: { timeoutSeconds: { type: 'integer', minimum: 1, maximum: AFFINITY_TIMEOUT_MAX_S } },
            },
          },
        },
      },
    },
    status: ANYTHING,
  },
};
