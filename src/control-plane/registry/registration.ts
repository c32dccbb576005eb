import { tryParseIp } from '#model/address/ip.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { type NodeGrant, tryParseGrant } from '#model/trust/grant.ts';
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
  return workloads.map((workload) => {
    const { name, namespace, serviceAccount, addresses, labels, enrolled, nativeTunnel, weight, draining } = workload;
    const title = `${namespace}/${name}`;
    for (const [field, value] of Object.entries({ name, namespace, serviceAccount: serviceAccount || 'default' })) {
      if (!SEGMENT.test(value)) refuse(`workload "${title}": ${field} "${value}" is not a name`);
    }
    // An address that is none would be left out of the mesh without a word, and its workload could not be reached.
    // In one form: what is compared as text elsewhere must not be two addresses for being written in two ways.
    const canonical = addresses.map(
      (address) => tryParseIp(address) ?? refuse(`workload "${title}": "${address}" is not an IP address`),
    );
    if (names.has(title)) refuse(`workload "${title}" is listed twice`);
    names.add(title);
    return {
      node,
      name,
      namespace,
      serviceAccount: serviceAccount || 'default',
      addresses: [...new Set(canonical)],
      labels: { ...labels },
      enrolled,
      nativeTunnel,
      ...(draining ? { draining } : {}),
      ...(weight === undefined ? {} : { weight: checkedWeight(weight, title) }),
    };
  });
}

function checkedWeight(weight: number, title: string): number {
  if (weight >= 1 && weight <= CONTROL.weightMax) return weight;
  return refuse(`workload "${title}": a weight of ${weight} is not one of 1 to ${CONTROL.weightMax}`);
}

/** What is kept of a node: its workloads, and what its token allowed when it registered them. */
export type KeptNode = {
  node: string;
  grant: NodeGrant;
  /** The node's own addresses, its gateways' included. */
  nodeAddresses: readonly string[];
  workloads: readonly RegisteredWorkload[];
};

/** Reads what was kept of a node; null when it is nothing of the kind, or of a version that kept no grant. */
export function parseRegistration(text: string): KeptNode | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return null;
    const { node, grant, nodeAddresses, workloads }: Partial<Record<keyof KeptNode, unknown>> = parsed;
    const granted = tryParseGrant(grant);
    const isKept =
      typeof node === 'string' &&
      granted !== null &&
      isTextList(nodeAddresses) &&
      Array.isArray(workloads) &&
      workloads.every(isRegisteredWorkload) &&
      workloads.every((workload) => workload.node === node && isUsable(workload));
    return isKept ? { node, grant: granted, nodeAddresses, workloads } : null;
  } catch {
    return null;
  }
}

/** The rules for what a node sends hold for what lay on the disk, too. */
function isUsable({ name, namespace, serviceAccount, addresses }: RegisteredWorkload): boolean {
  return [name, namespace, serviceAccount].every((text) => SEGMENT.test(text)) && addresses.every((ip) => tryParseIp(ip) === ip);
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
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
    draining = false,
  }: Partial<Record<keyof RegisteredWorkload, unknown>> = value;
  return (
    [node, name, namespace, serviceAccount].every((text) => typeof text === 'string') &&
    [enrolled, nativeTunnel, draining].every((flag) => typeof flag === 'boolean') &&
    isTextList(addresses) &&
    typeof labels === 'object' &&
    labels !== null
  );
}

function refuse(reason: string): never {
  throw new RpcError('invalid-argument', reason);
}
