import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { REDIRECTION } from '#model/mesh/membership.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { servedKindOf } from '#protocol/kubernetes/manifest.ts';
import { isKubeObject, type KubeObject, type ServedKind } from '#protocol/kubernetes/objects.ts';
import type { KubernetesConnection } from './connection.ts';
import { readPages } from './list-pages.ts';
import { KubernetesObjects } from './objects.ts';

const NAMESPACE = 'istio-system';
/** By which the API server tells whose a field is. */
const MANAGER = 'weft-install';
const PODS: ServedKind = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };
const DAEMON_SETS: ServedKind = { group: 'apps', version: 'v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true };
/** Whose marks are the same as ours. */
const OTHER_AGENTS = 'app=ztunnel';
/** In the order in which they are applied. */
const FILES = ['config/crds/weft.dev_trafficpolicies.yaml', ...['control-rbac', 'agent-rbac', 'control', 'agent'].map(fileOf)];

function fileOf(name: string): string {
  return `deploy/kubernetes/${name}.yaml`;
}

/** The objects of a mesh on a cluster, its namespace first. */
export async function readManifests(): Promise<KubeObject[]> {
  const head = { apiVersion: 'v1', kind: 'Namespace' };
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' };
  const texts = await Promise.all(FILES.map((file) => readFile(join(WEFT_ROOT, file), 'utf8')));
  const documents = texts.flatMap((text) => [...parseAllDocuments(text)].map((document): unknown => document.toJS()));
  return [{ ...head, metadata: { name: NAMESPACE, labels } }, ...documents.filter(isKubeObject)];
}

/** The mesh on a cluster, as it is put there and taken away. Errors of each: those of the connection. */
export class ClusterMesh {
  readonly #connection: KubernetesConnection;
  readonly #objects: KubernetesObjects;

  constructor(connection: KubernetesConnection) {
    this.#connection = connection;
    this.#objects = new KubernetesObjects(connection);
  }

  /** Null: it is not there. */
  get(object: KubeObject): Promise<KubeObject | null> {
    return this.#objects.get(servedKindOf(object), placeOf(object));
  }

  async apply(object: KubeObject): Promise<void> {
    await this.#objects.apply(servedKindOf(object), object, MANAGER);
  }

  /** False: there was none. */
  remove(object: KubeObject): Promise<boolean> {
    return this.#objects.remove(servedKindOf(object), placeOf(object));
  }

  /** Names of pods of the mesh's namespace with this label `app`. */
  async podsOf(app: string): Promise<string[]> {
    return (await this.#objects.list(PODS, NAMESPACE, `app=${app}`)).map(({ metadata }) => metadata.name);
  }

  /** Takes the mark that they are captured from all pods that have it, where no other mesh puts the same; returns how many. */
  async unmark(): Promise<number> {
    if ((await this.#objects.list(DAEMON_SETS, '', OTHER_AGENTS)).length > 0) return 0;
    const wanted = { ...PODS, versions: [PODS.version], metadataOnly: true, keep: (object: KubeObject) => object };
    let count = 0;
    for await (const { objects } of readPages(this.#connection, PODS, wanted, new AbortController().signal)) {
      for (const object of objects) {
        if (object.metadata.annotations?.[REDIRECTION] !== 'enabled') continue;
        await this.#objects.merge(PODS, placeOf(object), { metadata: { annotations: { [REDIRECTION]: null } } });
        count++;
      }
    }
    return count;
  }
}

function placeOf({ metadata: { name, namespace = '' } }: KubeObject): { name: string; namespace: string } {
  return { name, namespace };
}
