import { tryParseIp } from '#model/address/ip.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import type { SyncWorkloadsRequest } from '#proto/weft_pb.js';
import { RpcError } from '#protocol/xds/resource-fault.ts';

/** What may stand in an identity (src/model/identity), which these become part of. */
const SEGMENT = /^[A-Za-z0-9._-]{1,253}$/;

/** The workloads of a request, checked. Errors: RpcError invalid-argument naming the first that cannot be used. */
export function readWorkloads({ node, workloads }: SyncWorkloadsRequest): RegisteredWorkload[] {
  if (workloads.length > CONTROL.nodeWorkloadsMax)
    refuse(`a node may register ${CONTROL.nodeWorkloadsMax} workloads, not ${workloads.length}`);
  // All or nothing: a node whose report is half taken would see workloads without the policies that select them.
  const names = new Set<string>();
  return workloads.map(({ name, namespace, serviceAccount, addresses, labels, enrolled, nativeTunnel }) => {
    const title = `${namespace}/${name}`;
    for (const [field, value] of Object.entries({ name, namespace, serviceAccount: serviceAccount || 'default' })) {
      if (!SEGMENT.test(value)) refuse(`workload "${title}": ${field} "${value}" is not a name`);
    }
    // An address that is none would be left out of the mesh without a word, and its workload could not be reached.
    for (const address of addresses)
      if (tryParseIp(address) === null) refuse(`workload "${title}": "${address}" is not an IP address`);
    if (names.has(title)) refuse(`workload "${title}" is listed twice`);
    names.add(title);
    return {
      node,
      name,
      namespace,
      serviceAccount: serviceAccount || 'default',
      addresses,
      labels: { ...labels },
      enrolled,
      nativeTunnel,
    };
  });
}

/** Reads what was kept of a node; null when it is no list of workloads. */
export function parseRegistration(text: string): RegisteredWorkload[] | null {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) && parsed.every(isRegisteredWorkload) ? parsed : null;
  } catch {
    return null;
  }
}

/** What an older version kept lacks what this one needs: its agent reports it anew. */
function isRegisteredWorkload(value: unknown): value is RegisteredWorkload {
  if (typeof value !== 'object' || value === null) return false;
  const {
    node,
    name,
    namespace,
    serviceAccount,
    addresses,
    labels,
    enrolled,
    nativeTunnel,
  }: Partial<Record<keyof RegisteredWorkload, unknown>> = value;
  return (
    [node, name, namespace, serviceAccount].every((text) => typeof text === 'string') &&
    [enrolled, nativeTunnel].every((flag) => typeof flag === 'boolean') &&
    Array.isArray(addresses) &&
    addresses.every((address) => typeof address === 'string') &&
    typeof labels === 'object' &&
    labels !== null
  );
}

function refuse(reason: string): never {
  throw new RpcError('invalid-argument', reason);
}
