import { readFile } from 'node:fs/promises';
import { WeftError } from '#model/error.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { systemClock } from '#platform/clock.ts';

/** How an API server is reached, trusted and asked. Keys and tokens stay in memory. */
export type ClusterAccess = {
  /** `https://host:port`, maybe with a path that all others are below. */
  server: URL;
  /** null: what the machine trusts. */
  caPem: string | null;
  /** Name in the server's certificate, where it is not the host; null: the host. */
  serverName: string | null;
  certPem: string | null;
  keyPem: string | null;
  /** The token as it is now; null: none is shown. `anew`: the one of before was refused. Errors: WEFT_KUBERNETES_ACCESS. */
  token(anew?: boolean): Promise<string | null>;
  /** What a person calls the place it was read from. */
  from: string;
};

/** Fixed by Kubernetes: where a pod finds what it may show. */
const POD_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The access of a pod, by what the kubelet put there: root and token in files, the address in the environment.
 * Errors: WEFT_KUBERNETES_ACCESS when this is no pod.
 */
export async function inClusterAccess(
  env: Readonly<Record<string, string | undefined>> = process.env,
  folder = POD_FOLDER,
): Promise<ClusterAccess> {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (host === '') {
    throw accessError('this is no pod of a cluster: KUBERNETES_SERVICE_HOST is not set', 'name a kubeconfig with --kubeconfig');
  }
  const caPem = await readAccessFile(`${folder}/ca.crt`);
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    caPem,
    serverName: null,
    certPem: null,
    keyPem: null,
    token: tokenFile(`${folder}/token`),
    from: folder,
  };
}

/** A token that somebody renews in a file: read again from time to time, and when it was refused. */
export function tokenFile(path: string, nowMs: () => number = () => systemClock.monotonicMs()): ClusterAccess['token'] {
  let known: { token: string; readMs: number } | null = null;
  return async (anew = false) => {
    if (known !== null && !anew && nowMs() - known.readMs < KUBERNETES.tokenReadMs) return known.token;
    known = { token: (await readAccessFile(path)).trim(), readMs: nowMs() };
    return known.token;
  };
}

/** Text of a file that access depends on. Errors: WEFT_KUBERNETES_ACCESS. */
export async function readAccessFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw accessError(`${path} cannot be read`, 'see that it is there and may be read', cause);
  }
}

/** What keeps us from asking an API server. */
export function accessError(message: string, remedy: string, cause?: unknown): WeftError {
  return new WeftError('WEFT_KUBERNETES_ACCESS', message, { remedy, cause });
}
