import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Registration } from '#model/mesh/registration.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { SYNC_WORKLOADS } from '#platform/grpc/service-definitions.ts';
import { UnaryCaller } from '#platform/grpc/unary-call.ts';
import { type RegisteredWorkloadSchema, SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';

/** Tells the control plane what runs on a node. To be called on every change, and again after each reconnect. */
export class RegistryClient {
  readonly #caller: UnaryCaller;
  readonly #node: string;

  constructor(endpoint: ControlEndpoint, node: string) {
    this.#caller = new UnaryCaller(endpoint);
    this.#node = node;
  }

  /** Replaces the node's workloads; resolves to their uids in the same order. Errors: WEFT_CONTROL_PLANE. */
  async sync(workloads: readonly Registration[]): Promise<string[]> {
    const list = workloads.map(
      (workload): MessageInitShape<typeof RegisteredWorkloadSchema> => ({
        ...workload,
        addresses: [...workload.addresses],
        labels: { ...workload.labels },
      }),
    );
    const request = create(SyncWorkloadsRequestSchema, { node: this.#node, workloads: list });
    return (await this.#caller.call(SYNC_WORKLOADS, request)).uids;
  }

  close(): void {
    this.#caller.close();
  }
}
