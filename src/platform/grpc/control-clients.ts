import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { formatIdentity } from '#model/identity/identity.ts';
import type { Registration, RegistrationOutcome } from '#model/mesh/registration.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { CREATE_CERTIFICATE, SYNC_WORKLOADS } from '#platform/grpc/service-definitions.ts';
import { hasNoSuchMethod } from '#platform/grpc/status-codes.ts';
import { UnaryCaller } from '#platform/grpc/unary-call.ts';
import { IstioCertificateRequestSchema } from '#proto/ca_pb.js';
import { type RegisteredWorkloadSchema, SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';
import type { FetchCertificate } from '#protocol/ca/certificate-cache.ts';

/**
 * Asks the control plane (or an istiod) for certificates.
 * impersonate: true for agents, which ask for their workloads' identities; false for those who ask for themselves.
 */
export class CaClient {
  readonly #caller: UnaryCaller;
  readonly #impersonate: boolean;

  constructor(endpoint: ControlEndpoint, { impersonate }: { impersonate: boolean }) {
    // One of several may not have heard yet of a workload that another one has just registered.
    this.#caller = new UnaryCaller(endpoint, [status.UNAUTHENTICATED]);
    this.#impersonate = impersonate;
  }

  /** The `fetch` of a CertificateCache. Errors: WEFT_CONTROL_PLANE. */
  readonly fetch: FetchCertificate = async ({ csrPem, identity, ttlSeconds }) => {
    const request = create(IstioCertificateRequestSchema, {
      csr: csrPem,
      validityDuration: BigInt(ttlSeconds),
      ...(this.#impersonate ? { metadata: { ImpersonatedIdentity: formatIdentity(identity) } } : {}),
    });
    const { certChain } = await this.#caller.call(CREATE_CERTIFICATE, request);
    return certChain;
  };

  close(): void {
    this.#caller.close();
  }
}

/** Tells the control plane what runs on a node. To be called on every change, and again after each reconnect. */
export class RegistryClient {
  readonly #caller: UnaryCaller;
  readonly #node: string;

  constructor(endpoint: ControlEndpoint, node: string) {
    this.#caller = new UnaryCaller(endpoint);
    this.#node = node;
  }

  /**
   * Replaces the node's workloads; resolves to their uids in the same order, and to those that are not taken.
   * nodeAddresses: the node's own, its gateways' included. An istiod has no such method and knows the workloads by itself: then
   * nobody is refused. Errors: WEFT_CONTROL_PLANE.
   */
  async sync(workloads: readonly Registration[], nodeAddresses: readonly string[]): Promise<RegistrationOutcome> {
    const list = workloads.map(
      (workload): MessageInitShape<typeof RegisteredWorkloadSchema> => ({
        ...workload,
        addresses: [...workload.addresses],
        labels: { ...workload.labels },
      }),
    );
    const request = create(SyncWorkloadsRequestSchema, { node: this.#node, workloads: list, nodeAddresses: [...nodeAddresses] });
    const answer = await this.#caller.call(SYNC_WORKLOADS, request).catch((error: unknown) => {
      if (hasNoSuchMethod(error)) return null;
      throw error;
    });
    if (answer === null) return { uids: [], refused: [] };
    const { uids, refused } = answer;
    return { uids, refused: refused.map(({ uid, message, remedy }) => ({ uid, message, remedy })) };
  }

  close(): void {
    this.#caller.close();
  }
}
