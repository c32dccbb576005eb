import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { IndexDelta } from '#control-plane/index/index-delta.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import { readCrds } from '#platform/files/crds.ts';
import { ServiceSchema, WorkloadSchema } from '#proto/workload_pb.js';
import { serviceFromProto, serviceToProto } from '#protocol/xds/service.ts';
import { workloadFromProto, workloadToProto } from '#protocol/xds/workload.ts';
import type { BedHost } from './bed.testing.ts';

/** A mesh as its users write it, whose agents are told what the control plane derives, in the form of the wire. */
export class Configured {
  readonly yaml: YamlMesh;
  readonly #tell: readonly ((delta: MeshDelta) => void)[];

  private constructor(yaml: YamlMesh, tell: readonly ((delta: MeshDelta) => void)[]) {
    this.yaml = yaml;
    this.#tell = tell;
  }

  static async start(tell: readonly ((delta: MeshDelta) => void)[]): Promise<Configured> {
    return new Configured(new YamlMesh(createResourceParser(KINDS, await readCrds(CRD_FILES))), tell);
  }

  put(...documents: string[]): void {
    this.#pass(this.yaml.apply(documents.join('\n---\n')));
  }

  remove(...names: string[]): void {
    this.#pass(this.yaml.remove(...names));
  }

  /** The addresses of a service, IPv4 first. */
  addresses(service: string): readonly string[] {
    return (this.yaml.service(service)?.addresses ?? []).toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')));
  }

  /** What it takes to enroll a pod of this name. */
  request(name: string): Omit<EnrollmentRequest, 'netnsPath'> {
    const record = this.yaml.workload(name);
    if (record === null) throw new Error(`no workload is called ${name}`);
    const { uid, namespace, serviceAccount, addresses } = record;
    return { uid, name, namespace, serviceAccount, labels: {}, addresses, nativeTunnel: false, link: null };
  }

  #pass({ mesh }: IndexDelta): void {
    const delta: MeshDelta = {
      ...mesh,
      services: mapped(mesh.services, overWire),
      workloads: mapped(mesh.workloads, workloadOverWire),
    };
    for (const tell of this.#tell) tell(delta);
  }
}

/** A pod that runs at an address of a bed, captured by its node's agent. */
export function pod(
  name: string,
  host: Pick<BedHost, 'ip4' | 'ip6'>,
  { namespace = 'shop', node = 'one', app = name, ports = '' } = {},
): string {
  const metadata = `{ name: ${name}, namespace: ${namespace}, labels: { app: ${app} }, annotations: { ambient.istio.io/redirection: enabled } }`;
  const containers = ports === '' ? '' : `, containers: [{ name: c, ports: [${ports}] }]`;
  const status = `{ phase: Running, podIP: ${host.ip4}, podIPs: [{ ip: ${host.ip4} }, { ip: "${host.ip6}" }], conditions: [{ type: Ready, status: "True" }] }`;
  return `{ apiVersion: v1, kind: Pod, metadata: ${metadata}, spec: { nodeName: ${node}, serviceAccountName: ${name}${containers} }, status: ${status} }`;
}

/** A service of the pods of one app. */
export function service(
  name: string,
  { namespace = 'shop', app = name, ports = '{ port: 80, targetPort: 8080, appProtocol: tcp }', spec = '' } = {},
): string {
  const more = spec === '' ? '' : `, ${spec}`;
  return `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: ${namespace} }, spec: { selector: { app: ${app} }, ports: [${ports}]${more} } }`;
}

function overWire(service: NonNullable<Parameters<typeof serviceToProto>[0]>) {
  return serviceFromProto(fromBinary(ServiceSchema, toBinary(ServiceSchema, serviceToProto(service))));
}

function workloadOverWire(workload: Workload): Workload {
  return workloadFromProto(fromBinary(WorkloadSchema, toBinary(WorkloadSchema, workloadToProto(workload))));
}

function mapped<Value>(values: ReadonlyMap<string, Value | null>, pass: (value: Value) => Value): Map<string, Value | null> {
  return new Map([...values].map(([key, value]) => [key, value === null ? null : pass(value)]));
}
