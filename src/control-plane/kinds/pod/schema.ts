import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import { FLAG, fields, list, PORT, type Schema, TEXT } from '#control-plane/resources/schema.ts';
import type { IpAddress } from '#model/address/ip.ts';

/** One pod, as far as it is an endpoint. */
export type PodResource = {
  kind: 'Pod';
  metadata: Metadata;
  serviceAccount: string;
  /** '' while it is not scheduled. */
  node: string;
  addresses: readonly IpAddress[];
  hostNetwork: boolean;
  /** Its processes ended: it is no endpoint any more. */
  finished: boolean;
  ready: boolean;
  /** Named TCP ports of its containers; the first of a name wins. */
  namedPorts: Readonly<Record<string, number>>;
  /** Name of what created it (a Deployment, say), else its own. */
  ownerName: string;
};

/** A container as written. */
export type RawContainer = {
  restartPolicy?: string;
  ports?: { name?: string; containerPort: number; protocol?: string }[];
};

/** The document, once its schema has passed. */
export type RawPod = {
  metadata: RawMetadata;
  spec: {
    nodeName?: string;
    serviceAccountName?: string;
    serviceAccount?: string;
    hostNetwork?: boolean;
    containers?: RawContainer[];
    initContainers?: RawContainer[];
  };
  status?: {
    phase?: string;
    podIP?: string;
    podIPs?: { ip?: string }[];
    conditions?: { type: string; status: string }[];
  };
};

/** Only what makes a pod an endpoint is looked at; the rest is known so that it is not taken for a mistake. */
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
    serviceAccount: TEXT,
    hostNetwork: FLAG,
    containers: list(CONTAINER),
    initContainers: list(CONTAINER),
    ...fields('volumes ephemeralContainers restartPolicy terminationGracePeriodSeconds nodeSelector'),
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
