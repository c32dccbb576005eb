import { create } from '@bufbuild/protobuf';
import type { Caller } from '#control-plane/authentication/authenticator.ts';
import type { Log } from '#model/effects/log.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { type IstioCertificateRequest, type IstioCertificateResponse, IstioCertificateResponseSchema } from '#proto/ca_pb.js';
import { RpcError } from '#protocol/xds/rpc-error.ts';
import type { CertificateAuthority } from './authority.ts';
import { authorizeIdentity, type IdentityDirectory } from './authorize.ts';

/**
 * Answers one CreateCertificate call.
 * Errors: RpcError unauthenticated, without detail, when the caller may not have that identity; the log tells why.
 */
export async function createCertificate(
  { caller, request }: { caller: Caller; request: IstioCertificateRequest },
  { authority, directory, log }: { authority: CertificateAuthority; directory: IdentityDirectory; log: Log },
): Promise<IstioCertificateResponse> {
  const impersonated = request.metadata?.ImpersonatedIdentity;
  const decision = authorizeIdentity(caller, typeof impersonated === 'string' ? impersonated : '', directory);
  if (decision.kind === 'refused') {
    log.warn({ caller, requested: impersonated, why: decision.why }, 'certificate refused');
    throw new RpcError('unauthenticated', 'request authentication failure');
  }
  const certChain = await authority.issueWorkload(decision.identity, request.csr, Number(request.validityDuration));
  log.debug({ caller, identity: formatIdentity(decision.identity) }, 'certificate issued');
  return create(IstioCertificateResponseSchema, { certChain });
}
