import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('./programs', import.meta.url));
/** A first build compiles all of Kubernetes. */
const BUILD_MS_MAX = 3_600_000;

/** `cluster`: etcd, kube-apiserver, kubelet, kubectl and the rest; `conformance`: the Gateway API's mesh suite and what it needs. */
export type ProgramSet = 'cluster' | 'conformance' | 'helm';

/** The folder with them; null while they are not built. */
export async function kubernetesPrograms(set: ProgramSet = 'cluster'): Promise<string | null> {
  try {
    return (await promisify(execFile)(SCRIPT, ['path', set])).stdout.trim();
  } catch {
    return null;
  }
}

/** The same; builds them where need be. Errors: when they do not build. */
export async function buildKubernetesPrograms(): Promise<string> {
  return (await promisify(execFile)(SCRIPT, ['build'], { timeout: BUILD_MS_MAX })).stdout.trim();
}
