import {
  ANYTHING,
  DNS_LABEL,
  FLAG,
  fields,
  LABELS,
  list,
  PORT,
  type Schema,
  SUBDOMAIN,
  TEXT,
  TEXTS,
} from '#control-plane/resources/schema.ts';

/** metadata of every kind. Source: Kubernetes ObjectMeta. */
export const METADATA_SCHEMA: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 253, pattern: SUBDOMAIN },
    namespace: { type: 'string', maxLength: 63, pattern: `^$|${DNS_LABEL}`, nullable: true },
    labels: LABELS,
    annotations: TEXTS,
    creationTimestamp: { type: 'string', format: 'date-time', nullable: true },
    deletionTimestamp: { type: 'string', format: 'date-time', nullable: true },
    ownerReferences: list({
      type: 'object',
      required: ['kind', 'name'],
      properties: { kind: TEXT, name: TEXT, controller: FLAG, ...fields('apiVersion uid blockOwnerDeletion') },
    }),
    ...fields('generateName uid resourceVersion generation selfLink finalizers managedFields deletionGracePeriodSeconds'),
  },
};

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
        ...fields('loadBalancerClass loadBalancerIP loadBalancerSourceRanges sessionAffinity sessionAffinityConfig'),
      },
    },
    status: ANYTHING,
  },
};

const CONTAINER_PORT: Schema = {
  type: 'object',
  required: ['containerPort'],
  properties: {
    name: TEXT,
    containerPort: PORT,
    protocol: { type: 'string', enum: ['TCP', 'UDP', 'SCTP'] },
    ...fields('hostPort hostIP'),
  },
};

const CONTAINER: Schema = {
  type: 'object',
  properties: {
    ports: list(CONTAINER_PORT),
    restartPolicy: TEXT,
    ...fields('name image command args env envFrom workingDir resources resizePolicy volumeMounts volumeDevices'),
    ...fields('livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy'),
    ...fields('imagePullPolicy securityContext stdin stdinOnce tty restartPolicyRules'),
  },
};

const POD_SPEC: Schema = {
  type: 'object',
  properties: {
    nodeName: TEXT,
    serviceAccountName: TEXT,
    hostNetwork: FLAG,
    containers: list(CONTAINER),
    initContainers: list(CONTAINER),
    ...fields('serviceAccount volumes ephemeralContainers restartPolicy terminationGracePeriodSeconds nodeSelector'),
    ...fields('activeDeadlineSeconds dnsPolicy dnsConfig automountServiceAccountToken hostPID hostIPC hostUsers'),
    ...fields('shareProcessNamespace securityContext imagePullSecrets hostname subdomain affinity schedulerName'),
    ...fields('tolerations hostAliases priorityClassName priority readinessGates runtimeClassName preemptionPolicy'),
    ...fields('enableServiceLinks overhead topologySpreadConstraints setHostnameAsFQDN os schedulingGates'),
    ...fields('resourceClaims resources hostnameOverride'),
  },
};

/** Source: Kubernetes core/v1 Pod. */
export const POD_SCHEMA: Schema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: POD_SPEC,
    status: {
      type: 'object',
      properties: {
        phase: { type: 'string', enum: ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] },
        podIP: TEXT,
        podIPs: list({ type: 'object', properties: { ip: TEXT } }),
        conditions: list({
          type: 'object',
          required: ['type', 'status'],
          properties: { type: TEXT, status: TEXT },
          additionalProperties: true,
        }),
      },
      additionalProperties: true,
    },
  },
};

/** Source: Kubernetes core/v1 Namespace. */
export const NAMESPACE_SCHEMA: Schema = { type: 'object', properties: { spec: ANYTHING, status: ANYTHING } };
