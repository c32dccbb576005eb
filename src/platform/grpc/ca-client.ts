import { create } from '@bufbuild/protobuf';
import { formatIdentity } from '#model/identity/identity.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { CREATE_CERTIFICATE } from '#platform/grpc/service-definitions.ts';
import { UnaryCaller } from '#platform/grpc/unary-call.ts';
import { IstioCertificateRequestSchema } from '#proto/ca_pb.js';
import type { FetchCertificate } from '#protocol/ca/certificate-cache.ts';

/**
 * Asks the control plane (or an istiod) for certificates.
 * impersonate: true for agents, which ask for their workloads' identities; false for those who ask for themselves.
 */
export class CaClient {
  readonly #caller: UnaryCaller;
  readonly #impersonate: boolean;

  constructor(endpoint: ControlEndpoint, { impersonate }: { impersonate: boolean }) {
    this.#caller = new UnaryCaller(endpoint);
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
