import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { KubernetesConnection } from '../../src/platform/kubernetes/connection.ts';
import { readKubeconfig } from '../../src/platform/kubernetes/kubeconfig.ts';
import { ApiServer, type ApiServerOptions } from '../../testbed/kubernetes/api-server.ts';
import { Cluster, whyNoNodes } from '../../testbed/kubernetes/cluster.ts';
import { kubernetesPrograms } from '../../testbed/kubernetes/programs.ts';

/** Where the programs are; null: they were not built, and what needs them is not tested. */
export const PROGRAMS = await kubernetesPrograms();

/** For a test's options: why it does not run; false when it does. */
export const SKIP =
  PROGRAMS === null ? 'KUBERNETES IS NOT TESTED HERE: its programs are not built (make test-kubernetes builds them)' : false;

/** The same for what needs nodes that run pods. */
export const SKIP_NODES = SKIP !== false ? SKIP : skipOf(whyNoNodes());

/** The same for what takes minutes there. */
export const SKIP_LONG =
  SKIP_NODES !== false || process.env.WEFT_KUBERNETES === 'all'
    ? SKIP_NODES
    : 'THIS IS NOT TESTED HERE: it takes minutes on a cluster, and make test-kubernetes runs it';

function skipOf(why: string | null): string | false {
  return why === null ? false : `KUBERNETES IS TESTED HERE WITHOUT NODES: ${why}`;
}

/** A cluster with two nodes for all tests of a file; the getter is for use within tests. */
export function cluster(): () => Cluster {
  let running: Cluster | null = null;
  before(async () => {
    if (PROGRAMS !== null && SKIP_NODES === false) running = await Cluster.start({ programs: PROGRAMS });
  });
  // A test may have ended it already.
  after(() => running?.close());
  return () => {
    if (running === null) throw new Error('there is no cluster');
    return running;
  };
}

/** An API server for all tests of a file; the getter is for use within tests. */
export function apiServer(options: Partial<ApiServerOptions> = {}): () => ApiServer {
  let server: ApiServer | null = null;
  before(async () => {
    if (PROGRAMS === null) return;
    const dir = await mkdtemp(join(tmpdir(), 'weft-kubernetes-'));
    server = await ApiServer.start({ programs: PROGRAMS, dir, ...options });
  });
  after(() => server?.close());
  return () => {
    if (server === null) throw new Error('there is no API server');
    return server;
  };
}

/** A connection of our own to it, as its administrator. */
export async function connectionTo(server: ApiServer): Promise<KubernetesConnection> {
  return new KubernetesConnection(await readKubeconfig(server.kubeconfig), 'test');
}
