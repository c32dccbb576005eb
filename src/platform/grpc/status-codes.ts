import { type ServiceError, status } from '@grpc/grpc-js';
import { WeftError } from '#model/error.ts';
import type { RpcStatus } from '#protocol/xds/resource-fault.ts';

const CODES: Readonly<Record<RpcStatus, status>> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  'permission-denied': status.PERMISSION_DENIED,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  internal: status.INTERNAL,
};

/** The gRPC number of a status. */
export function codeOf(name: RpcStatus): status {
  return CODES[name];
}

/** The name of a gRPC number, in capitals. */
export function codeName(code: number): string {
  return status[code] ?? `status ${code}`;
}

const REMEDIES = new Map<number, string>([
  [status.UNAUTHENTICATED, 'give the process a current token of this mesh: weft token NODE on the machine of the control plane'],
  [status.PERMISSION_DENIED, 'start the process with the node and namespace that its token was made for'],
  [
    status.UNAVAILABLE,
    'see that the control plane runs, that its address and root certificate are right, and that nothing blocks the port',
  ],
]);

/** What a failed call means to a person. `address`: `host:port` of the control plane. */
export function callError(address: string, error: Pick<ServiceError, 'code' | 'details'>): WeftError {
  const remedy = REMEDIES.get(error.code);
  return new WeftError(
    'WEFT_CONTROL_PLANE',
    `the control plane at ${address} answered ${codeName(error.code)}: ${error.details}`,
    {
      cause: error,
      ...(remedy === undefined ? {} : { remedy }),
    },
  );
}

/** Whether a call failed because whoever was called does not know it, as `callError` tells. */
export function hasNoSuchMethod(error: unknown): boolean {
  const cause = error instanceof WeftError ? error.cause : null;
  return cause instanceof Error && 'code' in cause && cause.code === status.UNIMPLEMENTED;
}
