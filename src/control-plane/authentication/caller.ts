import { RpcError } from '#protocol/xds/rpc-error.ts';

/** Who is behind an RPC, as its token proves. */
export type Caller = {
  namespace: string;
  serviceAccount: string;
  /** The node an agent speaks for; null for everybody else. */
  node: string | null;
};

/** What the first discovery request says of its sender. */
export type NodeMetadata = { id: string; metadata: Readonly<Record<string, unknown>> };

/** `<type>~<ip>~<name>.<namespace>~<domain>`. */
const NODE_ID_PARTS = 4;

/**
 * Compares what a client says of itself with what its token proves.
 * Errors: RpcError invalid-argument without a usable node, permission-denied when it claims another namespace,
 * service account or node (C13). Source: control-plane-protocols 1.1, 1.7.
 */
export function checkNode(caller: Caller, node: NodeMetadata | undefined): void {
  if (node === undefined || node.id === '') throw new RpcError('invalid-argument', 'the first request must name its node');
  if (node.id.split('~').length !== NODE_ID_PARTS) {
    throw new RpcError('invalid-argument', `node id "${node.id}" is not <type>~<ip>~<name>~<domain>`);
  }
  const { NAMESPACE, SERVICE_ACCOUNT, NODE_NAME } = node.metadata;
  if (NAMESPACE !== caller.namespace) refuse('namespace', NAMESPACE);
  if (SERVICE_ACCOUNT !== undefined && SERVICE_ACCOUNT !== caller.serviceAccount) refuse('service account', SERVICE_ACCOUNT);
  if (caller.node !== null && NODE_NAME !== undefined && NODE_NAME !== caller.node) refuse('node', NODE_NAME);
}

function refuse(what: string, claimed: unknown): never {
  throw new RpcError('permission-denied', `the token is not for ${what} ${JSON.stringify(claimed)}`);
}
