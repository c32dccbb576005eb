import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IndexDelta } from '#control-plane/index/index-delta.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { formatFindings } from '#control-plane/resources/finding.ts';
import type { Resource, ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { MESH } from './list.ts';

/** The resources in a YAML text. Errors: Error with the findings when one is invalid. */
export function resourcesIn(yaml: string, parser: ResourceParser): Resource[] {
  const { entries, findings } = readResourceFile('test.yaml', yaml, parser);
  if (findings.some(({ severity }) => severity === 'error')) throw new Error(formatFindings(findings));
  return entries.flatMap(({ resource }) => resource ?? []);
}

/** An index that is fed with YAML and asked by short names. */
export class YamlMesh {
  readonly index: MeshIndex;
  readonly #parser: ResourceParser;

  constructor(parser: ResourceParser, yaml = '', options: Partial<MeshOptions> = {}) {
    this.#parser = parser;
    this.index = new MeshIndex({ options: { ...DEFAULT_MESH_OPTIONS, ...options }, definitions: MESH });
    this.apply(yaml);
  }

  apply(yaml: string): IndexDelta {
    return this.index.apply({ upserted: resourcesIn(yaml, this.#parser) });
  }

  remove(...names: string[]): IndexDelta {
    return this.index.apply({ removed: names as ResourceName[] });
  }

  register(node: string, ...workloads: Partial<RegisteredWorkload>[]): IndexDelta {
    return this.index.apply({ nodes: new Map([[node, workloads.map((workload) => aWorkload({ node, ...workload }))]]) });
  }

  /** The service `<namespace>/<name>`; null when there is none. */
  service(key: string): Service | null {
    const found = [...this.index.snapshot().services.values()].find(({ namespace, name }) => `${namespace}/${name}` === key);
    return found ?? null;
  }

  /** The only workload of this name; null when there is none. */
  workload(name: string): Workload | null {
    const found = [...this.index.snapshot().workloads.values()].filter((workload) => workload.name === name);
    if (found.length > 1) throw new Error(`${found.length} workloads are called ${name}`);
    return found[0] ?? null;
  }

  /** `type status reason` of each condition of a resource, or of one of its listeners. */
  conditions(resource: string, listener?: string): string[] {
    const list = this.index.snapshot().conditions.get(resource as ResourceName) ?? [];
    return list.filter((one) => one.listener === listener).map(({ type, status, reason }) => `${type} ${status} ${reason}`);
  }

  /** `code message` of each problem of a resource. */
  problems(resource: string): string[] {
    const list = this.index.snapshot().problems.get(resource as ResourceName) ?? [];
    return list.map(({ code, message }) => `${code} ${message}`);
  }
}

/** A workload registered by node alpha, with an address of its own by name. */
export function aWorkload(workload: Partial<RegisteredWorkload>): RegisteredWorkload {
  return {
    node: 'alpha',
    name: 'app',
    namespace: 'shop',
    serviceAccount: 'app',
    addresses: ['10.1.0.1'],
    labels: {},
    enrolled: true,
    nativeTunnel: false,
    ...workload,
  };
}

/** The bookshop of the goldens, whose waypoint and storefront a node registered; `addresses`: those of the storefront. */
export function bookshop(parser: ResourceParser, addresses: readonly string[]): YamlMesh {
  const mesh = new YamlMesh(parser, readFileSync(join(import.meta.dirname, 'golden/bookshop.yaml'), 'utf8'));
  const labels = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
  const waypoint = { name: 'waypoint-1', serviceAccount: 'waypoint', addresses: ['10.2.0.1'], labels, nativeTunnel: true };
  const storefront = { name: 'storefront', serviceAccount: 'storefront', addresses, labels: { app: 'storefront' } };
  mesh.register('beta', ...[waypoint, storefront].map((one) => ({ namespace: 'books', ...one })));
  return mesh;
}
