import { createHash } from 'node:crypto';
import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';

/** Names a workload of a node. */
export type SandboxKey = { namespace: string; name: string };

const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** `<namespace>.<name>`, the name of a sandbox's files and cgroup; a namespace has no dot, so it is unique. Errors: WEFT_SANDBOX_NAME. */
export function fileNameOf({ namespace, name }: SandboxKey): string {
  const text = `${namespace}.${name}`;
  if (NAMESPACE.test(namespace) && NAME.test(name) && !name.includes('..') && text.length <= HOST.sandboxKeyCharactersMax)
    return text;
  throw new WeftError('WEFT_SANDBOX_NAME', `"${name}" in namespace "${namespace}" cannot be the name of a workload`, {
    remedy: `write lower-case letters, digits and "-" (in the name "." too), at most ${HOST.sandboxKeyCharactersMax} characters together`,
  });
}

/** The network namespace's name, as `ip netns` shows it. Unique per node name and key. */
export function netnsNameOf(node: string, key: SandboxKey): string {
  return `weft-${slugOf(node)}-${shortHash(node, key)}`;
}

/** Whether a network namespace of that name is a sandbox of this node, and not of one whose name merely begins alike. */
export function isNetnsNameOf(node: string, netnsName: string): boolean {
  const prefix = `weft-${slugOf(node)}-`;
  return netnsName.startsWith(prefix) && /^[0-9a-f]{10}$/.test(netnsName.slice(prefix.length));
}

/** The workload's veth end on the node's bridge: 12 characters, of the 15 an interface name may have. */
export function hostVethOf(node: string, key: SandboxKey): string {
  return `wf${shortHash(node, key)}`;
}

/** The host veth that belongs to a network namespace for which `isNetnsNameOf` is true. */
export function hostVethOfNetns(netnsName: string): string {
  return `wf${netnsName.slice(netnsName.lastIndexOf('-') + 1)}`;
}

/**
 * The MAC address of a workload's end of its link, made from the name of the other end: it is known without asking the
 * workload, who may have changed it, and the same when the sandbox is made again.
 */
export function workloadMacOf(hostVeth: string): string {
  return ['02', ...(hostVeth.slice('wf'.length).match(/../g) ?? [])].join(':');
}

/** A workload's link for whoever guards it. */
export function linkOf(hostVeth: string): { device: string; mac: string } {
  return { device: hostVeth, mac: workloadMacOf(hostVeth) };
}

/** Whether an interface name is one that `hostVethOf` gives. */
export function isHostVeth(name: string): boolean {
  return /^wf[0-9a-f]{10}$/.test(name);
}

/** A locally administered address: a bridge without one of its own takes a port's, and changes it when that port goes. */
export function bridgeMacOf(node: string, bridge: string): string {
  const hex = createHash('sha256').update(`${node}\0${bridge}`).digest('hex').slice(0, 10);
  return ['02', ...(hex.match(/../g) ?? [])].join(':');
}

/** The node's name as far as it is safe in names of namespaces and nft tables; unique by a hash where it had to be changed. */
export function slugOf(node: string): string {
  if (/^[a-z0-9-]+$/.test(node) && node.length <= HOST.sandboxNodeCharactersMax) return node;
  const safe = node
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, HOST.sandboxNodeCharactersMax - 9);
  return `${safe}-${createHash('sha256').update(node).digest('hex').slice(0, 8)}`;
}

function shortHash(node: string, { namespace, name }: SandboxKey): string {
  return createHash('sha256').update(`${node}\0${namespace}\0${name}`).digest('hex').slice(0, 10);
}
