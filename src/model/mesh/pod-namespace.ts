import type { IpAddress } from '#model/address/ip.ts';

/** A network namespace of a node, as it was found there. */
export type FoundNamespace = {
  /** By which it can be opened. */
  path: string;
  /** The kernel's number of it, as long as it lives. */
  inode: number;
  /** Of its interfaces. */
  addresses: ReadonlySet<IpAddress>;
  /** Uids of the pods that have a process in it. */
  pods: ReadonlySet<string>;
};

/** A pod whose namespace is sought. */
export type SoughtPod = { uid: string; addresses: readonly IpAddress[] };

/** A pod's namespace, or a sentence that says why it has none. */
export type SoughtNamespace = Pick<FoundNamespace, 'path' | 'inode'> | { problem: string };

/**
 * Which namespace is that of a pod. One that carries none of its addresses never is: a process of a pod may sit in the namespace of
 * another, or of its own making. Nor is that of the node (`homeInode`), or the node would be cut off. A pod without a process, as one
 * that waits to be started again, is found by its address, if nobody else says that it has that.
 */
export function namespaceOfPod(
  pod: SoughtPod,
  { found, homeInode, all }: { found: readonly FoundNamespace[]; homeInode: number; all: readonly SoughtPod[] },
): SoughtNamespace {
  const fitting = found.filter(({ inode, addresses }) => inode !== homeInode && pod.addresses.some((ip) => addresses.has(ip)));
  const proven = fitting.filter(({ pods }) => pods.has(pod.uid));
  if (proven.length > 1) return { problem: `processes of it are in ${proven.length} namespaces that have its address` };
  const [own] = proven;
  if (own !== undefined) return placeOf(own);
  const rival = all.find((other) => other.uid !== pod.uid && other.addresses.some((ip) => pod.addresses.includes(ip)));
  if (rival !== undefined && fitting.length > 0)
    return { problem: `another pod (${rival.uid}) says that it has the same address` };
  const [only, second] = fitting.filter(({ pods }) => pods.size === 0);
  if (second !== undefined) return { problem: `several namespaces of this node have its address ${pod.addresses.join(', ')}` };
  if (only !== undefined) return placeOf(only);
  return { problem: `no network namespace of this node has its address ${pod.addresses.join(', ')}` };
}

function placeOf({ path, inode }: FoundNamespace): SoughtNamespace {
  return { path, inode };
}
