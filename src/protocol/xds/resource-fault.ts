import { WeftError, type WeftErrorOptions } from '#model/error.ts';

/** Rejects the resource being read. Errors: always WEFT_XDS_RESOURCE. */
export function rejectResource(reason: string): never {
  throw new WeftError('WEFT_XDS_RESOURCE', reason);
}

/**
 * What `read` returns. Errors: WEFT_XDS_RESOURCE as `<name>: <reason>`, the form of an item in a NACK,
 * when the bytes do not decode or the content is refused. Source: docs/rules/control-plane.md.
 */
export function readingResource<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new WeftError('WEFT_XDS_RESOURCE', `${name}: ${reason}`, { cause: error });
  }
}

/** The meaning of a wire enum. Errors: WEFT_XDS_RESOURCE for a number this version does not know. */
export function knownEnum<T>(field: string, value: number, meanings: ReadonlyMap<number, T>): T {
  const meaning = meanings.get(value);
  return meaning === undefined ? rejectResource(`unknown ${field} ${value}`) : meaning;
}

/** The wire number of a model value; every value of the union must be in the table (a test shows it). */
export function wireEnum<T>(meanings: ReadonlyMap<number, T>, value: T): number {
  for (const [number, meaning] of meanings) if (meaning === value) return number;
  throw new Error(`no wire number for ${String(value)}`);
}

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
