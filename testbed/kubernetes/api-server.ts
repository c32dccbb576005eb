import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from '../processes/child.ts';
import { type CommandResult, command, tryCommand } from '../processes/command.ts';
import { waitStarted } from '../processes/wait.ts';

const CERTS = fileURLToPath(new URL('./lib/certs.sh', import.meta.url));
const READY_MS = 120_000;
const LOOPBACK = '127.0.0.1';

/** What an API server is started with. `programs`: where etcd and the others are; `dir`: a folder of its own for its state. */
export type ApiServerOptions = {
  programs: string;
  dir: string;
  /** Whether controllers run, too: EndpointSlices, service accounts, garbage. */
  controllers?: boolean;
  /** Further flags of kube-apiserver and of the controllers. */
  flags?: readonly string[];
  controllerFlags?: readonly string[];
  /** The address it listens at, as others reach it; without it a loopback one. */
  host?: string;
  /** What comes before each command line, such as nsenter into the network namespace that has `host`; must become the program. */
  within?: readonly string[];
  /** Who has a certificate and a kubeconfig beside the administrator: `NAME.crt`, `.key` and `.kubeconfig` in the folder `pki`. */
  clients?: readonly Client[];
};

/** A client of the API server, which may be a server itself: its X.509 subject (`/O=...`) and its names (`IP:...,DNS:...`). */
export type Client = { name: string; subject: string; names?: string };

/**
 * etcd and kube-apiserver of one's own on free loopback ports: objects can be kept and watched, nothing runs pods. All of it
 * ends with the process that started it, however that ends.
 */
export class ApiServer {
  /** The file that tells clients of it, as an administrator. */
  readonly kubeconfig: string;
  readonly url: string;
  readonly #options: ApiServerOptions;
  readonly #host: string;
  readonly #ports: { etcd: number; peer: number; api: number; controllers: number };
  readonly #children = new Map<string, Child>();

  /** When this resolves it is ready. Errors: when it does not become so. */
  static async start(options: ApiServerOptions): Promise<ApiServer> {
    const [etcd = 0, peer = 0, api = 0, controllers = 0] = await freePorts(4);
    const server = new ApiServer(options, { etcd, peer, api, controllers });
    try {
      await server.#begin();
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  private constructor(options: ApiServerOptions, ports: { etcd: number; peer: number; api: number; controllers: number }) {
    this.#options = options;
    this.#host = options.host ?? LOOPBACK;
    this.#ports = ports;
    this.kubeconfig = join(options.dir, 'kubeconfig');
    this.url = `https://${this.#host}:${ports.api}`;
  }

  /** What kubectl prints. Errors: when it fails. */
  kubectl(...words: string[]): Promise<string> {
    return command(this.kubectlLine(words), READY_MS);
  }

  /** The same, whatever its exit code. */
  tryKubectl(...words: string[]): Promise<CommandResult> {
    return tryCommand(this.kubectlLine(words), READY_MS);
  }

  /** The command line of kubectl, as an administrator. */
  kubectlLine(words: readonly string[]): string[] {
    const { programs, dir, within = [] } = this.#options;
    return [...within, join(programs, 'kubectl'), '--kubeconfig', this.kubeconfig, '--cache-dir', join(dir, 'kubectl'), ...words];
  }

  /** Makes or replaces what documents of YAML or JSON describe. */
  async apply(text: string): Promise<string> {
    const file = join(this.#options.dir, 'apply.yaml');
    await writeFile(file, text);
    return this.kubectl('apply', '-f', file);
  }

  /** A token by which one is the service account `namespace/name`. */
  async tokenOf(account: string, ...words: string[]): Promise<string> {
    const [namespace = '', name = ''] = account.split('/');
    return (await this.kubectl('create', 'token', name, '-n', namespace, ...words)).trim();
  }

  /** The process of the API server ends without a word; what etcd holds stays. */
  async kill(): Promise<void> {
    await this.#end('kube-apiserver', 'SIGKILL');
  }

  /** It stands where it is: connections stay open, and nothing answers. */
  freeze(): void {
    this.#children.get('kube-apiserver')?.signal('SIGSTOP');
  }

  thaw(): void {
    this.#children.get('kube-apiserver')?.signal('SIGCONT');
  }

  /** Comes back at the same port, with what etcd holds. */
  async serveAgain(): Promise<void> {
    this.#startApiServer();
    await this.#ready();
  }

  /** etcd forgets every version but the last, so that nobody can go on from an earlier one; only on loopback. */
  async compact(): Promise<void> {
    const { etcd } = this.#ports;
    const ask = async (path: string, body: object): Promise<{ header?: { revision?: string } }> => {
      const answer = await fetch(`http://${LOOPBACK}:${etcd}${path}`, { method: 'POST', body: JSON.stringify(body) });
      const text = await answer.text();
      // What is forgotten already need not be forgotten.
      if (!answer.ok && !text.includes('has been compacted')) throw new Error(`etcd answers ${answer.status}: ${text}`);
      return JSON.parse(text) as { header?: { revision?: string } };
    };
    const { header } = await ask('/v3/kv/range', { key: 'AA==', limit: 1 });
    await ask('/v3/kv/compaction', { revision: header?.revision, physical: true });
  }

  /** Everything of it is gone. */
  async close(): Promise<void> {
    for (const name of [...this.#children.keys()].reverse()) await this.#end(name, 'SIGKILL');
    await rm(this.#options.dir, { recursive: true, force: true });
  }

  async #begin(): Promise<void> {
    const { dir, controllers = false, clients: others = [] } = this.#options;
    const { etcd, peer } = this.#ports;
    await mkdir(join(dir, 'pki'), { recursive: true });
    await command(['bash', '-c', MAKE_FILES, 'certs', CERTS, dir, this.url, this.#host], READY_MS);
    for (const { name, subject, names = '' } of others) {
      await command(['bash', '-c', MAKE_CLIENT, 'certs', CERTS, dir, this.url, name, subject, names]);
    }
    const [clients, peers] = [`http://${this.#host}:${etcd}`, `http://${this.#host}:${peer}`];
    // Without fsync, since nothing here outlives the test.
    const data = ['--name', 'testbed', '--data-dir', join(dir, 'etcd'), '--unsafe-no-fsync', '--log-level', 'warn'];
    const client = ['--listen-client-urls', clients, '--advertise-client-urls', clients];
    const own = ['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers, '--initial-cluster', `testbed=${peers}`];
    this.#start('etcd', [...data, ...client, ...own]);
    this.#startApiServer();
    await this.#ready();
    if (controllers) this.#startControllers();
  }

  #startControllers(): void {
    const { dir, controllerFlags = [] } = this.#options;
    const pki = (name: string): string => join(dir, 'pki', name);
    const keys = ['--service-account-private-key-file', pki('sa.key'), '--root-ca-file', pki('ca.crt')];
    const signing = ['--cluster-signing-cert-file', pki('ca.crt'), '--cluster-signing-key-file', pki('ca.key')];
    const where = ['--kubeconfig', this.kubeconfig, '--bind-address', LOOPBACK, '--secure-port', String(this.#ports.controllers)];
    const alone = ['--leader-elect=false', '--use-service-account-credentials'];
    this.#start('kube-controller-manager', [...where, ...alone, ...keys, ...signing, ...controllerFlags]);
  }

  #startApiServer(): void {
    const { dir, flags = [] } = this.#options;
    const { etcd, api } = this.#ports;
    const pki = (name: string): string => join(dir, 'pki', name);
    const serving = ['--bind-address', this.#host, '--secure-port', String(api), '--advertise-address', this.#host];
    const tls = ['--tls-cert-file', pki('apiserver.crt'), '--tls-private-key-file', pki('apiserver.key')];
    const issuer = ['--service-account-issuer', 'https://kubernetes.default.svc.cluster.local'];
    const accounts = ['--service-account-key-file', pki('sa.pub'), '--service-account-signing-key-file', pki('sa.key')];
    const store = ['--etcd-servers', `http://${this.#host}:${etcd}`, '--service-cluster-ip-range', '10.96.0.0/12'];
    const rights = ['--authorization-mode', 'Node,RBAC', '--client-ca-file', pki('ca.crt')];
    // No Endpoints of the service "kubernetes" on loopback: such an address may not be in one.
    const reconciler = this.#host === LOOPBACK ? ['--endpoint-reconciler-type', 'none'] : [];
    const rest = [...reconciler, '--allow-privileged', '--profiling=false', '--event-ttl', '1h'];
    this.#start('kube-apiserver', [...store, ...serving, ...tls, ...issuer, ...accounts, ...rights, ...rest, ...flags]);
  }

  #start(name: string, args: readonly string[]): void {
    const { programs, dir, within = [] } = this.#options;
    // Whatever becomes of the tests, nothing of this stays behind.
    const line = ['setpriv', '--pdeathsig', 'KILL', '--', ...within, join(programs, name), ...args];
    this.#children.set(name, startChild({ name, command: line, logPath: join(dir, `${name}.log`) }, {}));
  }

  async #ready(): Promise<void> {
    const child = this.#children.get('kube-apiserver');
    if (child === undefined) throw new Error('the API server was not started');
    const isReady = async (): Promise<boolean> => (await this.tryKubectl('get', '--raw', '/readyz')).code === 0;
    await waitStarted(child, 'ready API server', READY_MS, isReady);
  }

  async #end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(name);
    this.#children.delete(name);
    child?.signal(signal);
    await child?.ended;
  }
}

/** certs.sh, state folder, URL of the API server, its host. */
const MAKE_FILES = `
set -euo pipefail
. "$1"
PKI=$2/pki
make_ca
make_cert apiserver /CN=kube-apiserver "IP:$4,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
make_cert admin /O=system:masters/CN=admin
make_kubeconfig admin "$3" "$2/kubeconfig"
`;
/** certs.sh, state folder, URL of the API server, name, subject, names. */
const MAKE_CLIENT = `
set -euo pipefail
. "$1"
PKI=$2/pki
make_cert "$4" "$5" "$6"
make_kubeconfig "$4" "$3" "$PKI/$4.kubeconfig"
`;

/** Ports that nobody has now. Another process may still take one; then starting fails and says so. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const { promise, resolve } = Promise.withResolvers<ReturnType<typeof createServer>>();
      const server = createServer().listen(0, LOOPBACK, () => resolve(server));
      return promise;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
