import { readFile, rename, writeFile } from 'node:fs/promises';
import { WeftError } from '#model/error.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';

/** The workloads of a node on disk, so that a restarted agent serves them again. */
export type WorkloadStore = { load(): Promise<EnrollmentRequest[]>; save(all: EnrollmentRequest[]): Promise<void> };

/** Errors: WEFT_STATE when the file cannot be written (full disk) or is not ours to read. */
export function workloadStore(path: string): WorkloadStore {
  let saving: Promise<void> = Promise.resolve();
  return {
    async load() {
      let text: string;
      try {
        text = await readFile(path, 'utf8');
      } catch (cause) {
        if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
        throw new WeftError('WEFT_STATE', `cannot read ${path}`, { cause, remedy: 'check the run directory' });
      }
      try {
        return JSON.parse(text) as EnrollmentRequest[];
      } catch (cause) {
        throw new WeftError('WEFT_STATE', `${path} is damaged`, {
          cause,
          remedy: 'remove it; running workloads must then be started again',
        });
      }
    },
    save(all) {
      // One writer at a time; each writes the whole set beside the old file and then takes its place.
      saving = saving
        .catch(() => {})
        .then(async () => {
          await writeFile(`${path}.new`, JSON.stringify(all, null, 2), { mode: 0o600 });
          await rename(`${path}.new`, path);
        })
        .catch((cause: unknown) => {
          throw new WeftError('WEFT_STATE', `cannot write ${path}`, { cause, remedy: 'free some disk space' });
        });
      return saving;
    },
  };
}
