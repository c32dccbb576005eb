import type { Meters } from '#model/telemetry/meters.ts';

/** What was asked of an API server for one resource, and what its answers took: bytes of bodies, those of watches as they come. */
export type ResourceTraffic = { requests: number; receivedBytes: number };

/** Fixed by the API server: a path names group and version, perhaps a namespace, and the resource. */
const RESOURCE = /^\/(?:api\/[^/]+|apis\/[^/]+\/[^/]+)\/(?:namespaces\/[^/]+\/)?([^/?]+)/;

/** What is carried between here and an API server, by resource; `discovery` is what is asked of no resource. */
export class ApiTraffic {
  readonly #byResource = new Map<string, ResourceTraffic>();

  /** Of all of them. */
  get receivedBytes(): number {
    return [...this.#byResource.values()].reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
  }

  /** What of it the resource at that path has, to be counted up. */
  of(path: string): ResourceTraffic {
    const resource = RESOURCE.exec(path)?.[1] ?? 'discovery';
    const known = this.#byResource.get(resource);
    if (known !== undefined) return known;
    const traffic = { requests: 0, receivedBytes: 0 };
    this.#byResource.set(resource, traffic);
    return traffic;
  }

  /** Shows it on a metrics page. */
  meter(meters: Meters): void {
    const readings = (value: (one: ResourceTraffic) => number) =>
      [...this.#byResource].map(([resource, one]) => ({ labels: { resource }, value: value(one) }));
    meters.read('weft_api_server_requests_total', () => readings(({ requests }) => requests));
    meters.read('weft_api_server_received_bytes_total', () => readings(({ receivedBytes }) => receivedBytes));
  }
}
