import { resolve } from 'node:path';
import type { StatusReport } from '../../src/cli/status.ts';
import type { AgentStatus } from '../../src/protocol/api/agent.ts';
import type { Cluster } from '../../testbed/kubernetes/cluster.ts';
import { command } from '../../testbed/processes/command.ts';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { SYSTEM } from './mesh.testing.ts';
import { makeNamespace } from './pods.testing.ts';

const SOON_MS = 90_000;
const IMAGE_MS = 120_000;
const READY = '60s';
const MANIFESTS = ['control-rbac', 'agent-rbac', 'control', 'agent'];
/** The program of the image, as `deploy/kubernetes` starts it. */
const WEFT = ['/usr/lib/weft/node_modules/node/bin/node', '/usr/lib/weft/build/program/weft.js'];

/** Gives the nodes of a cluster the image of `scripts/image`. */
export async function loadWeft(cluster: Cluster): Promise<void> {
  await cluster.loadImage(resolve((await command(['scripts/image'], IMAGE_MS)).trim()));
}

/** Weft as `deploy/kubernetes` installs it, from the image of `scripts/image`. */
export class InstalledMesh {
  readonly #cluster: Cluster;

  /** When this resolves everything of it says that it is ready. Errors: when it does not within a minute. */
  static async install(cluster: Cluster): Promise<InstalledMesh> {
    await loadWeft(cluster);
    await cluster.kubectl('apply', '--server-side', '-f', 'config/crds');
    await cluster.kubectl('wait', '--for=condition=established', 'crd', '--all');
    await makeNamespace(cluster, SYSTEM);
    for (const name of MANIFESTS) await cluster.kubectl('apply', '-f', `deploy/kubernetes/${name}.yaml`);
    for (const name of ['deployment/weft-control', 'daemonset/weft-agent']) {
      await cluster.kubectl('rollout', 'status', name, '-n', SYSTEM, '--timeout', READY);
    }
    return new InstalledMesh(cluster);
  }

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** What the agent of a node says of itself. Errors: when it says nothing. */
  async status(node: string): Promise<AgentStatus> {
    const text = await this.#cluster.kubectl(
      'exec',
      await this.#podOf(node),
      '-n',
      SYSTEM,
      '--',
      ...WEFT,
      'status',
      '-o',
      'json',
    );
    const [report] = (JSON.parse(text) as Pick<StatusReport, 'nodes'>).nodes;
    if (report?.kind !== 'up') throw new Error(`weft status says ${text}`);
    return report.status;
  }

  /** What the agent of a node has logged since its container started. */
  async log(node: string): Promise<string> {
    return this.#cluster.kubectl('logs', await this.#podOf(node), '-n', SYSTEM);
  }

  /** The agent of a node dies; returns its process id on the node. */
  async killAgent(node: string): Promise<number> {
    const { pid } = await this.status(node);
    await this.#cluster.node(node).run('kill', '-KILL', String(pid));
    return pid;
  }

  /** Resolves when the agent of a node runs anew, after the one that had this process id, and knows the mesh. */
  async restarted(node: string, before: number): Promise<void> {
    await waitUntil(`next agent of ${node}`, SOON_MS, async () => {
      const { pid, controlPlane } = await this.status(node);
      return pid !== before && controlPlane.syncedAt !== null;
    });
  }

  /** The one that came last: one of before may be ending. */
  #podOf(node: string): Promise<string> {
    const which = ['-l', 'app=weft-agent', '--field-selector', `spec.nodeName=${node}`, '--sort-by=.metadata.creationTimestamp'];
    return this.#cluster.kubectl('get', 'pods', '-n', SYSTEM, ...which, '-o', 'jsonpath={.items[-1:].metadata.name}');
  }
}
