import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Captured, captured } from '#testbed/observers/capture.ts';
import { type Child, startChild } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitStarted, waitUntil } from '#testbed/processes/wait.ts';
import { ApiServer, type Client } from './api-server.ts';
import { type Cgroups, CLUSTER_PREFIX, cgroupsOf, isLeft, makeCgroups, removeCgroups, sweepCgroups } from './cgroups.ts';
import { addressesOf, bridgeCommands, CLUSTER_CIDR, CONTROL, joinCommands, linkOf, nodeCommands } from './network.ts';
import { ClusterNode, childOf, inCgroups, NAMESPACES, programOf } from './node.ts';

const NODE_SCRIPT = fileURLToPath(new URL('./lib/node.sh', import.meta.url));
/** The image of `modules/echo`, which every node has: what tests run as pods. */
export const ECHO_IMAGE = 'localhost/echo:1';
const START_MS = 20_000;
const READY_MS = 120_000;
const DEFAULT_NODES = ['node-a', 'node-b'] as const;

/** `programs`: where `programs build` put them; nodes are numbered in the order of `nodes`. */
export type ClusterOptions = { programs: string; nodes?: readonly string[] };

/**
 * A Kubernetes cluster: the control plane's programs and nodes that run pods, in namespaces and cgroups of their own on this
 * machine. A bridge joins them; pods are reached by a route to their node, without tunnels or address translation. All of it
 * ends with the process that started it, however that ends; what is left of one that was killed, the next start removes.
 */
export class Cluster {
  readonly dir: string;
  readonly #options: Required<ClusterOptions>;
  readonly #children: Child[] = [];
  readonly #nodes: ClusterNode[] = [];
  #cgroups: Cgroups = { paths: [] };
  #api: ApiServer | null = null;
  /** The process that holds the network of the control plane. */
  #holder = 0;

  /** When this resolves all nodes are ready and have the images. Errors: when they do not become so; nothing is left then. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    await sweep();
    const cluster = new Cluster({ nodes: DEFAULT_NODES, ...options });
    try {
      await cluster.#begin();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  private constructor(options: Required<ClusterOptions>) {
    this.#options = options;
    this.dir = join(tmpdir(), `${CLUSTER_PREFIX}${process.pid}`);
  }

  get api(): ApiServer {
    if (this.#api === null) throw new Error('the cluster has no API server yet');
    return this.#api;
  }

  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  /** The node of that name. Errors: when there is none. */
  node(name: string): ClusterNode {
    const node = this.#nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** What kubectl prints. Errors: when it fails. */
  kubectl(...words: string[]): Promise<string> {
    return this.api.kubectl(...words);
  }

  /** Starts a program beside the control plane, at its address; it ends with the cluster. */
  start(name: string, words: readonly string[], env: Record<string, string> = {}): Child {
    const line = ['setpriv', '--pdeathsig', 'KILL', '--', ...inNetnsOf(this.#holder, words)];
    const child = startChild({ name, command: line, logPath: join(this.dir, `${name}.log`) }, env);
    this.#children.push(child);
    return child;
  }

  /** The command, as a program beside the control plane: it reaches the nodes, the pods and the services. */
  beside(words: readonly string[]): string[] {
    return inNetnsOf(this.#holder, words);
  }

  /** Where the control plane's programs are reached. */
  get controlAddress(): string {
    return CONTROL;
  }

  /**
   * Everything that goes over the link of a node while `body` runs, but for what it and its pods have with the API server, and what
   * tcpdump's filter `except` names.
   */
  captureLink<Result>(node: string, body: () => Promise<Result>, except = ''): Promise<Captured<Result>> {
    const link = { pid: this.#holder, device: linkOf(this.node(node).name) };
    const filter = [`host ${CONTROL}`, except].filter((one) => one !== '').map((one) => `not (${one})`);
    return captured(link, join(this.dir, 'link.pcap'), filter.join(' and '), body);
  }

  /** The power of a node goes, and comes back: all that ran there starts anew, with what its disk has. Its former object is of no use then. */
  async reboot(name: string): Promise<void> {
    const node = this.node(name);
    // What a node writes below /etc, /opt and /var lies in memory here, but for images and volumes.
    await node.run('tar', '-C', '/', '-cf', join(node.place.dir, 'disk.tar'), 'etc/cni', 'opt/cni', 'var/lib/weft');
    node.kill();
    const at = this.#children.findIndex((one) => one.name === name);
    await this.#children[at]?.ended;
    this.#children.splice(at, 1);
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
    const gone = async (): Promise<boolean> => !(await command(this.beside(['ip', '-o', 'link']))).includes(`${linkOf(name)}@`);
    await waitUntil(`end of ${name}`, START_MS, gone);
    await this.#startNode(name, this.#options.nodes.indexOf(name) + 1);
  }

  /** Gives all nodes an image, from an archive as `docker save` makes them. */
  async loadImage(archive: string): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.run(this.#program('ctr'), '-n', 'k8s.io', 'images', 'import', archive)));
  }

  /** Everything of it is gone: processes, networks, mounts, cgroups, files. Idempotent. Errors: when something cannot be removed. */
  async close(): Promise<void> {
    await this.#api?.close();
    // A node's first process takes all others with it, and the last of them the namespaces; who waits for it ends by itself.
    const joined = new Set(this.#nodes.map((node) => node.name));
    for (const node of this.#nodes.splice(0)) node.kill();
    for (const child of this.#children) if (!joined.has(child.name)) child.signal('SIGKILL');
    await Promise.all(this.#children.map(({ ended }) => ended));
    await removeCgroups(this.#cgroups);
    await rm(this.dir, { recursive: true, force: true });
  }

  async #begin(): Promise<void> {
    const { programs, nodes } = this.#options;
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    this.#cgroups = await makeCgroups(basename(this.dir), nodes);
    await this.#makeNetwork();
    this.#api = await ApiServer.start({
      programs,
      dir: join(this.dir, 'api'),
      host: CONTROL,
      within: this.beside([]),
      controllers: true,
      clients: [...CLIENTS, ...nodes.map(nodeClient)],
      flags: apiServerFlags(this.#pki('')),
      controllerFlags: CONTROLLER_FLAGS,
    });
    const scheduler = ['--kubeconfig', this.#pki('scheduler.kubeconfig'), '--bind-address', '127.0.0.1', '--leader-elect=false'];
    this.start('kube-scheduler', [join(programs, 'kube-scheduler'), ...scheduler]);
    await Promise.all(nodes.map((name, index) => this.#startNode(name, index + 1)));
    await waitUntil('ready nodes with the images', READY_MS, () => this.#areReady());
  }

  async #makeNetwork(): Promise<void> {
    const line = ['setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--net', '--', 'sleep', 'infinity'];
    const holder = startChild({ name: 'network', command: line, logPath: join(this.dir, 'network.log') }, {});
    this.#children.push(holder);
    await waitStarted(holder, 'network of the cluster', START_MS, async () => (await programOf(holder.pid)) === 'sleep');
    this.#holder = holder.pid;
    for (const line of bridgeCommands()) await command(this.beside(line));
  }

  async #startNode(name: string, number: number): Promise<void> {
    const { programs, nodes } = this.#options;
    const dir = join(this.dir, name);
    await mkdir(dir, { recursive: true }); // it is there when the node starts anew
    const cgroups = cgroupsOf(this.#cgroups, name);
    const { address, podCidr } = addressesOf(number);
    const cidrs = { NODE_IP: address, POD_CIDR: podCidr, CLUSTER_CIDR };
    const unshare = ['unshare', ...NAMESPACES, '--fork', '--kill-child', '--mount-proc', '--', 'bash', NODE_SCRIPT];
    const child = startChild(
      {
        name,
        command: ['setpriv', '--pdeathsig', 'KILL', '--', ...inCgroups(cgroups, unshare)],
        logPath: join(this.dir, `${name}.log`),
      },
      { NODE: name, PROGRAMS: programs, PKI: this.#pki(''), DIR: dir, ...cidrs },
    );
    this.#children.push(child);
    const pid = await waitUntil(`node ${name}`, START_MS, () => childOf(child.pid, 'unshare'));
    for (const line of joinCommands(name, number, pid)) await command(this.beside(line));
    for (const line of nodeCommands(number, nodes.length)) await command(inNetnsOf(pid, line));
    this.#nodes.push(new ClusterNode({ name, address, podCidr, pid, dir, cgroups }));
  }

  async #areReady(): Promise<boolean> {
    // Without it no pod is taken.
    await this.kubectl('get', 'serviceaccount', 'default');
    const format = 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}';
    const ready = (await this.kubectl('get', 'nodes', '-o', format)).split(' ').filter((status) => status === 'True');
    if (ready.length < this.#options.nodes.length) return false;
    const images = await Promise.all(
      this.#nodes.map((node) => node.run(this.#program('ctr'), '-n', 'k8s.io', 'images', 'list', '-q')),
    );
    return images.every((names) => names.includes(ECHO_IMAGE));
  }

  #program(name: string): string {
    return join(this.#options.programs, name);
  }

  #pki(name: string): string {
    return join(this.dir, 'api', 'pki', name);
  }
}

/** Those of the programs that are no nodes. */
const CLIENTS: readonly Client[] = [
  { name: 'kubelet-client', subject: '/O=system:masters/CN=apiserver-kubelet-client' },
  { name: 'scheduler', subject: '/CN=system:kube-scheduler' },
  { name: 'kube-proxy', subject: '/CN=system:kube-proxy' },
];
/** A node that is gone is known to be so soon. */
const CONTROLLER_FLAGS = ['--node-monitor-period', '2s', '--node-monitor-grace-period', '20s'];

function nodeClient(name: string, index: number): Client {
  const names = `IP:${addressesOf(index + 1).address},DNS:${name}`;
  return { name, subject: `/O=system:nodes/CN=system:node:${name}`, names };
}

/** How the API server reaches kubelets. The aggregator routes to endpoints, since no kube-proxy runs beside the API server. */
function apiServerFlags(pki: string): string[] {
  const client = [
    '--kubelet-client-certificate',
    join(pki, 'kubelet-client.crt'),
    '--kubelet-client-key',
    join(pki, 'kubelet-client.key'),
  ];
  const roots = ['--kubelet-certificate-authority', join(pki, 'ca.crt'), '--kubelet-preferred-address-types', 'InternalIP'];
  return [...client, ...roots, '--enable-aggregator-routing'];
}

/** Why no node can run on this machine; null: nodes can. */
export function whyNoNodes(): string | null {
  if (process.getuid?.() !== 0) return 'nodes need root';
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
  return unified ? 'nodes need cgroups in the hybrid layout (version 1 controllers, and version 2 for eBPF)' : null;
}

/** Removes what clusters left whose process was killed. */
async function sweep(): Promise<void> {
  await sweepCgroups();
  for (const name of await readdir(tmpdir())) {
    if (isLeft(name)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}
