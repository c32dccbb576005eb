import { eachField, type FieldTable, type Treatment } from '#control-plane/resources/field-table.ts';

/** Weft starts no pods: it finds them as they run. */
const OF_THE_NODE: Treatment = { is: 'elsewhere', why: 'scheduler and kubelet act on it, before the mesh sees the pod' };

/** The same for plain and for init containers: sidecars are among those. */
function containerFields(list: string): FieldTable {
  return {
    ...eachField(`spec.${list}[].`, 'ports[].name ports[].containerPort ports[].protocol restartPolicy'),
    ...eachField(`spec.${list}[].`, 'ports[].hostPort ports[].hostIP', OF_THE_NODE),
    ...eachField(`spec.${list}[].`, 'name image command args env envFrom workingDir resources resizePolicy', OF_THE_NODE),
    ...eachField(`spec.${list}[].`, 'volumeMounts volumeDevices livenessProbe startupProbe lifecycle', OF_THE_NODE),
    ...eachField(`spec.${list}[].`, 'terminationMessagePath terminationMessagePolicy imagePullPolicy', OF_THE_NODE),
    ...eachField(`spec.${list}[].`, 'securityContext stdin stdinOnce tty restartPolicyRules', OF_THE_NODE),
    [`spec.${list}[].readinessProbe`]: {
      is: 'elsewhere',
      why: 'the kubelet probes, and reports what it found in status.conditions, which is in force',
    },
  };
}

/** What becomes of each field of a Pod. */
export const POD_FIELDS: FieldTable = {
  ...eachField('spec.', 'nodeName serviceAccountName serviceAccount hostNetwork'),
  ...containerFields('containers'),
  ...containerFields('initContainers'),
  'spec.subdomain': {
    is: 'ignored',
    harmless: [''],
    why: 'a pod has no name of its own below that of its service',
    remedy: 'dial its address, or give it a Service of its own',
  },
  ...eachField('spec.', 'volumes ephemeralContainers restartPolicy terminationGracePeriodSeconds nodeSelector', OF_THE_NODE),
  ...eachField('spec.', 'activeDeadlineSeconds dnsPolicy dnsConfig automountServiceAccountToken hostPID hostIPC', OF_THE_NODE),
  ...eachField('spec.', 'hostUsers shareProcessNamespace securityContext imagePullSecrets hostname affinity', OF_THE_NODE),
  ...eachField('spec.', 'schedulerName tolerations hostAliases priorityClassName priority readinessGates', OF_THE_NODE),
  ...eachField('spec.', 'runtimeClassName preemptionPolicy enableServiceLinks overhead', OF_THE_NODE),
  ...eachField('spec.', 'topologySpreadConstraints setHostnameAsFQDN os schedulingGates', OF_THE_NODE),
  ...eachField('spec.', 'resourceClaims resources hostnameOverride', OF_THE_NODE),
};
