import type { EncodedResource } from '#protocol/xds/encoded-resource.ts';
import type { TypeUrl } from '#protocol/xds/type-urls.ts';

/** What there is to serve right now; a session reads it each time it makes a response, so it never sends old state. */
export type ResourceView = {
  /** For debugging, in `system_version_info`. */
  systemVersion(): string;
  get(typeUrl: TypeUrl, name: string): EncodedResource | null;
  all(typeUrl: TypeUrl): Iterable<EncodedResource>;
  /**
   * What an on-demand name means, first hit of: workload uid, workload by `<network>/<ip>`, service by
   * `<namespace>/<hostname>`, service by `<network>/<ip>`. A service brings its workloads. Empty when unknown.
   */
  lookup(typeUrl: TypeUrl, name: string): readonly EncodedResource[];
  /** Workloads of a node. */
  onNode(node: string): readonly EncodedResource[];
};
