import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { messageOf } from '#model/error.ts';
import { accessError, type ClusterAccess, readAccessFile, tokenFile } from './access.ts';

/** A kubeconfig as it is written, as far as we read it. Anything may be missing. */
type RawKubeconfig = {
  'current-context'?: unknown;
  contexts?: Named<'context', { cluster?: unknown; user?: unknown }>;
  clusters?: Named<'cluster', RawCluster>;
  users?: Named<'user', RawUser>;
};
type Named<Field extends string, Value> = ({ name?: unknown } & { [name in Field]?: Value | null })[] | null;
type RawCluster = Partial<
  Record<
    | 'server'
    | 'certificate-authority'
    | 'certificate-authority-data'
    | 'tls-server-name'
    | 'insecure-skip-tls-verify'
    | 'proxy-url',
    unknown
  >
>;
type RawUser = Partial<
  Record<
    | 'client-certificate'
    | 'client-certificate-data'
    | 'client-key'
    | 'client-key-data'
    | 'token'
    | 'tokenFile'
    | 'username'
    | 'exec'
    | 'auth-provider',
    unknown
  >
>;

/**
 * The access that a kubeconfig describes, by its current context or the one named. Errors: WEFT_KUBERNETES_ACCESS, also for
 * what we do not do: programs that print tokens, and servers that are not verified.
 */
export async function readKubeconfig(path: string, context: string | null = null): Promise<ClusterAccess> {
  const text = await readAccessFile(path);
  const config = parseConfig(path, text);
  const named = context ?? config['current-context'];
  if (typeof named !== 'string' || named === '')
    throw fault(path, 'it names no current-context', 'kubectl config use-context NAME');
  const chosen = find(config.contexts, 'context', named);
  if (chosen === null) throw fault(path, `it has no context "${named}"`, 'kubectl config get-contexts lists them');
  const cluster = find(config.clusters, 'cluster', chosen.cluster);
  if (cluster === null) throw fault(path, `context "${named}" is of a cluster that it does not describe`, 'add it to clusters');
  const user = find(config.users, 'user', chosen.user) ?? {};
  const from = (file: string): string => resolve(dirname(path), file);
  const pem = (value: RawCluster | RawUser, field: string): Promise<string | null> => readPem(path, value, field, from);
  return {
    server: serverOf(path, cluster),
    caPem: await pem(cluster, 'certificate-authority'),
    serverName: textOf(cluster['tls-server-name']),
    certPem: await pem(user, 'client-certificate'),
    keyPem: await pem(user, 'client-key'),
    token: tokenOf(path, user, from),
    from: path,
  };
}

function parseConfig(path: string, text: string): RawKubeconfig {
  try {
    const value: unknown = parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw fault(path, `it is no YAML: ${messageOf(cause).split('\n')[0]}`, 'mend it, or name another file');
  }
  throw fault(path, 'it is empty', 'name another file');
}

function find<Field extends string, Value>(list: Named<Field, Value> | undefined, field: Field, name: unknown): Value | null {
  if (!Array.isArray(list)) return null;
  return list.find((one) => one?.name === name)?.[field] ?? null;
}

function serverOf(path: string, cluster: RawCluster): URL {
  const server = textOf(cluster.server);
  if (server === null || !URL.canParse(server))
    throw fault(path, 'the address of its cluster is no URL', 'write server: https://HOST:PORT');
  const url = new URL(server);
  if (url.protocol !== 'https:')
    throw fault(path, `${server} is not asked: it would be in clear text`, 'write server: https://HOST:PORT');
  if (cluster['insecure-skip-tls-verify'] === true)
    throw fault(
      path,
      'it asks not to verify the API server, which would show our rights to anybody',
      'name its root in certificate-authority',
    );
  if (textOf(cluster['proxy-url']) !== null) throw fault(path, 'it names a proxy, which is not supported', 'remove proxy-url');
  return url;
}

/** Inline data win over a file, as with kubectl. */
async function readPem(path: string, value: object, field: string, from: (file: string) => string): Promise<string | null> {
  const fields = value as Readonly<Record<string, unknown>>;
  const data = textOf(fields[`${field}-data`]);
  if (data !== null) {
    const pem = Buffer.from(data, 'base64').toString('utf8');
    if (!pem.includes('-----BEGIN')) throw fault(path, `${field}-data is no PEM in base64`, 'mend it, or name a file');
    return pem;
  }
  const file = textOf(fields[field]);
  return file === null ? null : readAccessFile(from(file));
}

function tokenOf(path: string, user: RawUser, from: (file: string) => string): ClusterAccess['token'] {
  const file = textOf(user.tokenFile);
  if (file !== null) return tokenFile(from(file));
  const token = textOf(user.token);
  if (token !== null) return async () => token;
  for (const way of ['exec', 'auth-provider', 'username'] as const)
    if (user[way] !== undefined)
      throw fault(path, `its user is told by "${way}", which is not supported`, 'use a token or a client certificate');
  return async () => null;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function fault(path: string, message: string, remedy: string): Error {
  return accessError(`kubeconfig ${path}: ${message}`, remedy);
}
