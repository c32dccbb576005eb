import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SHOP_NAMESPACE } from '#testbed/apps/shop.ts';

// Resources that checks put into the watched directory for a moment. All concern the echo services.

/** The YAML of a policy that refuses one service account. */
export function denyServiceAccount(name: string, serviceAccount: string): string {
  return policy(name, 'DENY', `from: [{ source: { serviceAccounts: [${serviceAccount}] } }]`);
}

/** The YAML of a policy that lets in whoever has an identity, whichever. */
export function allowAnyIdentity(name: string): string {
  return policy(name, 'ALLOW', 'from: [{ source: { principals: ["*"] } }]');
}

/** The YAML of a rule that refuses whoever has no identity. */
export function strictMutualTls(name: string): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${SHOP_NAMESPACE} }
spec:
  selector: { matchLabels: { app: echo } }
  mtls: { mode: STRICT }
`;
}

function policy(name: string, action: string, rule: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${SHOP_NAMESPACE} }
spec:
  selector: { matchLabels: { app: echo } }
  action: ${action}
  rules:
    - ${rule}
`;
}

/**
 * Writes a file of the watched directory in one step, as editors do.
 * Returns the Unix milliseconds right before it appeared.
 */
export async function putConfig(dir: string, name: string, text: string): Promise<number> {
  const unfinished = join(dir, `.${name}.tmp`);
  await writeFile(unfinished, text);
  const atMs = Date.now();
  await rename(unfinished, join(dir, name));
  return atMs;
}

/** Removes a file of the watched directory, if it is there. Returns the Unix milliseconds right before it went. */
export async function dropConfig(dir: string, name: string): Promise<number> {
  const atMs = Date.now();
  await rm(join(dir, name), { force: true });
  return atMs;
}

/** Runs `body` while a file is in the watched directory. */
export async function withConfig<Result>(
  dir: string,
  name: string,
  text: string,
  body: (atMs: number) => Promise<Result>,
): Promise<Result> {
  try {
    return await body(await putConfig(dir, name, text));
  } finally {
    await dropConfig(dir, name);
  }
}
