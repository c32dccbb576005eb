import type { NodeGrant } from '#model/trust/grant.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';

/** Who is behind an RPC, as what it carries proves. */
export type Caller = {
  namespace: string;
  serviceAccount: string;
  /** The node an agent speaks for; null for everybody else. */
  node: string | null;
  /** What that node may host and announce; null for everybody else, and where the proof does not say. */
  grant: NodeGrant | null;
  /** When the proof ends, and with it whatever goes on by it; null: it does not say. */
  untilMs: number | null;
  origin: CallOrigin;
};

/** Where a call comes from: nothing of it is proven. */
export type CallOrigin = {
  /** Address it was received from. */
  ip: string;
  /** A word that the calling process made up at its start, the same in all of its calls; '' when it tells none. */
  instance: string;
};

/** What a caller proves. */
export type Proof = Omit<Caller, 'origin'>;

/** Tells who calls, from the `authorization` header of an RPC: by tokens of our own, or by asking an API server. */
export type Authenticator = {
  /** Errors: RpcError unauthenticated for whatever is no proof; the peer learns no detail (C13). */
  authenticate(authorizationHeader: string | undefined): Promise<Proof>;
};

/** Hands out what an Authenticator accepts: a text that proves `caller` from now on for `ttlMs`. */
export type TokenIssuer = {
  mint(caller: Omit<Proof, 'untilMs'>, ttlMs: number): Promise<string>;
  /** Refuses every token of a node that was made until now. */
  revoke(node: string): Promise<void>;
  /** Takes what another replica has written of revoked tokens; returns the nodes whose tokens are revoked by that. */
  follow?(text: string | null): string[];
};

/** What the first discovery request says of its sender. */
export type NodeMetadata = { id: string; metadata: Readonly<Record<string, unknown>> };

/** `<type>~<ip>~<name>.<namespace>~<domain>`. */
const NODE_ID_PARTS = 4;

/**
 * Compares what a client says of itself with what its token proves.
 * Errors: RpcError invalid-argument without a usable node, permission-denied when it claims another namespace,
 * service account or node (C13). Source: docs/rules/control-plane.md.
 */
export function checkNode(caller: Proof, node: NodeMetadata | undefined): void {
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
