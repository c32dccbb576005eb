import { WeftError } from '#model/error.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import type { RefusedWorkload } from './registering.ts';

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names one workload of a node. */
export type WorkloadKey = { namespace: string; name: string };

/** The key alone of what has one. */
export function keyOf({ namespace, name }: WorkloadKey): WorkloadKey {
  return { namespace, name };
}

/** A key as one word, for maps and messages. */
export function keyText({ namespace, name }: WorkloadKey): string {
  return `${namespace}/${name}`;
}

/** The key of a workload that is asked for. Errors: WEFT_WORKLOAD_NAME. */
export function checkedKey(wanted: WorkloadRequest): WorkloadKey {
  for (const [field, value] of Object.entries({
    name: wanted.name,
    namespace: wanted.namespace,
    'service account': wanted.serviceAccount,
  })) {
    if (typeof value !== 'string' || !NAME.test(value)) {
      throw new WeftError('WEFT_WORKLOAD_NAME', `"${value}" is not a valid ${field}`, {
        remedy: 'use lower-case letters, digits and dashes, at most 63',
      });
    }
  }
  return { namespace: wanted.namespace, name: wanted.name };
}

/** WEFT_WORKLOAD_LEFT. */
export function stoppedMeanwhile(uid: string): WeftError {
  return new WeftError('WEFT_WORKLOAD_LEFT', `${uid} was stopped while it was being started`, { remedy: 'start it again' });
}

/** WEFT_WORKLOAD_REFUSED. */
export function refusedBy({ message, remedy }: RefusedWorkload): WeftError {
  return new WeftError('WEFT_WORKLOAD_REFUSED', `the control plane refuses this workload: ${message}`, { remedy });
}

/** WEFT_NO_WORKLOAD. */
export function notHere(text: string): WeftError {
  return new WeftError('WEFT_NO_WORKLOAD', `workload ${text} does not run on this node`, { remedy: 'see weft ps' });
}

/** WEFT_WORKLOAD_EXISTS. */
export function existsAlready(text: string): WeftError {
  return new WeftError('WEFT_WORKLOAD_EXISTS', `workload ${text} runs already on this node`, {
    remedy: 'choose another --name, or end the other one first',
  });
}
