import { WeftError } from '#model/error.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';

/** One file; both reject with the system's error. */
export type StateFile = {
  path: string;
  /** Null when there is none. */
  read(): Promise<string | null>;
  /** All of the new text or all of the old, whatever happens meanwhile. */
  replace(text: string): Promise<void>;
};

/** The workloads of a node on disk, so that a restarted agent serves them again. */
export type WorkloadStore = { load(): Promise<EnrollmentRequest[]>; save(all: EnrollmentRequest[]): Promise<void> };

/** Errors: WEFT_STATE when the file cannot be written (full disk), is not ours to read, or holds something else. */
export function workloadStore(file: StateFile): WorkloadStore {
  let saving: Promise<void> = Promise.resolve();
  return {
    async load() {
      const text = await file.read().catch((cause: unknown) => {
        throw new WeftError('WEFT_STATE', `cannot read ${file.path}`, { cause, remedy: 'check the run directory' });
      });
      return text === null ? [] : parseWorkloads(text, file.path);
    },
    save(all) {
      // One writer at a time: two that overlap could leave the older set. A failure is told to its own caller only.
      saving = saving
        .catch(() => {})
        .then(() => file.replace(JSON.stringify(all, null, 2)))
        .catch((cause: unknown) => {
          throw new WeftError('WEFT_STATE', `cannot write ${file.path}`, {
            cause,
            remedy: 'free some space where the run directory is (df); what runs goes on',
          });
        });
      return saving;
    },
  };
}

/** A crash while an older version wrote in place may have left half a file: it is refused as a whole, never half believed. */
function parseWorkloads(text: string, path: string): EnrollmentRequest[] {
  const remedy = 'remove it; running workloads must then be started again';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WeftError('WEFT_STATE', `${path} is damaged`, { cause, remedy });
  }
  if (!Array.isArray(value) || !value.every(isRequest)) {
    throw new WeftError('WEFT_STATE', `${path} is damaged: it is no list of workloads`, { remedy });
  }
  return value;
}

function isRequest(value: unknown): value is EnrollmentRequest {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  const texts = [fields.uid, fields.name, fields.namespace, fields.serviceAccount, fields.netnsPath];
  return texts.every((text) => typeof text === 'string') && Array.isArray(fields.addresses);
}
