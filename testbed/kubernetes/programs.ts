import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('./programs', import.meta.url));
/** A first build compiles all of Kubernetes. */
const BUILD_MS_MAX = 3_600_000;

/** The folder with etcd, kube-apiserver, kube-controller-manager and kubectl; null while they are not built. */
export async function kubernetesPrograms(): Promise<string | null> {
  try {
    return (await promisify(execFile)(SCRIPT, ['path'])).stdout.trim();
  } catch {
    return null;
  }
}

/** The same; builds them where need be. Errors: when they do not build. */
export async function buildKubernetesPrograms(): Promise<string> {
  return (await promisify(execFile)(SCRIPT, ['build'], { timeout: BUILD_MS_MAX })).stdout.trim();
}
