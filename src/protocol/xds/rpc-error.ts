import { WeftError, type WeftErrorOptions } from '#model/error.ts';

/** How an RPC of the control plane ends when it fails; the transport maps it to the gRPC status of that name. */
export type RpcStatus =
  | 'invalid-argument'
  | 'unauthenticated'
  | 'permission-denied'
  | 'resource-exhausted'
  | 'unavailable'
  | 'internal';

/** A failure that the peer is told about: `message` travels on the wire, `cause` does not. */
export class RpcError extends WeftError {
  readonly status: RpcStatus;

  constructor(status: RpcStatus, message: string, options: WeftErrorOptions = {}) {
    super('WEFT_RPC', message, options);
    this.name = 'RpcError';
    this.status = status;
  }
}

/** The error to show a peer: RpcError as it is, anything else as an internal failure without detail. */
export function asRpcError(error: unknown): RpcError {
  return error instanceof RpcError ? error : new RpcError('internal', 'internal error of the control plane', { cause: error });
}
