import { POD_SCHEMA } from '#control-plane/resources/core-schemas.ts';
import { errorAt, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { defineKind } from '#control-plane/resources/kind-definition.ts';
import type { PodResource, RawPod } from '#control-plane/resources/kinds/pod.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import { tryParseIp } from '#model/address/ip.ts';

/** How a Pod is read. */
export const podKind = defineKind<RawPod>({
  kind: 'Pod',
  group: '',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'built-in', schema: POD_SCHEMA },
  unknownFields: 'warning',
  check: checkPod,
  read: readPod,
});

function readPod({ metadata: rawMetadata, spec, status }: RawPod, metadata: Metadata): PodResource {
  return {
    kind: 'Pod',
    metadata,
    serviceAccount: spec.serviceAccountName || 'default',
    node: spec.nodeName ?? '',
    addresses: podIpsOf(status)
      .map(({ ip }) => tryParseIp(ip))
      .filter((ip) => ip !== null),
    hostNetwork: spec.hostNetwork === true,
    finished: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    ready: !metadata.deleting && isReady(status),
    namedPorts: namedPortsOf(spec),
    ownerName: ownerNameOf(rawMetadata, metadata),
  };
}

/** A pod that a person describes in a file has no conditions: it counts as ready unless its phase says otherwise. */
function isReady(status: RawPod['status']): boolean {
  const conditions = status?.conditions;
  if (conditions === undefined) return status?.phase === undefined || status.phase === 'Running';
  return conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

function podIpsOf(status: RawPod['status']): { ip: string; path: (string | number)[] }[] {
  const list = (status?.podIPs ?? []).map(({ ip }, at) => ({ ip: ip ?? '', path: ['status', 'podIPs', at, 'ip'] }));
  const all = list.length > 0 ? list : [{ ip: status?.podIP ?? '', path: ['status', 'podIP'] }];
  return all.filter(({ ip }) => ip !== '');
}

function namedPortsOf({ containers = [], initContainers = [] }: RawPod['spec']): Record<string, number> {
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const named: Record<string, number> = {};
  for (const { ports = [] } of [...containers, ...sidecars]) {
    for (const { name, containerPort, protocol } of ports) {
      if (name !== undefined && (protocol ?? 'TCP') === 'TCP') named[name] ??= containerPort;
    }
  }
  return named;
}

function ownerNameOf({ ownerReferences = [] }: RawMetadata, { name, labels }: Metadata): string {
  const owner = ownerReferences.find(({ controller }) => controller === true) ?? ownerReferences[0];
  if (owner === undefined) return name;
  const hash = labels['pod-template-hash'];
  const isDeployment = owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`);
  return isDeployment ? owner.name.slice(0, -(hash.length + 1)) : owner.name;
}

function checkPod({ status }: RawPod): Problem[] {
  const ips = podIpsOf(status);
  const problems = ips
    .filter(({ ip }) => tryParseIp(ip) === null)
    .map(({ ip, path }) => errorAt('WEFT_FIELD_INVALID', path, `"${ip}" is not an IP address`, 'write an IPv4 or IPv6 address'));
  if (ips.length > 0) return problems;
  const message = 'the pod has no address, so it is no endpoint of the mesh';
  return [warningAt('WEFT_LIKELY_MISTAKE', ['status'], message, 'set status.podIP; for processes on this machine use weft run')];
}
