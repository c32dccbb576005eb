import { create } from '@bufbuild/protobuf';
import type { Proof } from '#control-plane/authentication/authenticator.ts';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import type { Log } from '#model/effects/log.ts';
import { formatIdentity, type Identity, sameIdentity, tryParseIdentity } from '#model/identity/identity.ts';
import { accountRefusal, NO_GRANT, type Reserved } from '#model/trust/grant.ts';
import { type IstioCertificateRequest, type IstioCertificateResponse, IstioCertificateResponseSchema } from '#proto/ca_pb.js';
import { RpcError } from '#protocol/xds/resource-fault.ts';

/** Which identity a caller gets a certificate for. `why` is for the log: the peer is told nothing. `absent`: it would be granted, were it there. */
export type Authorization = { kind: 'granted'; identity: Identity } | { kind: 'refused'; why: string; absent?: true };

/** What the mesh knows about who runs where. */
export type IdentityDirectory = {
  trustDomain: string;
  nodes: {
    /** Identities of the workloads on a node, as SPIFFE URIs. */
    identitiesOnNode(node: string): ReadonlySet<string>;
    /** Waits a moment for an identity to come to a node. */
    appears(node: string, uri: string): Promise<void>;
  };
  /** Which identities are the mesh's own. */
  reserved: Reserved;
};

/**
 * Decides whom a certificate may name: a waypoint itself, for as long as there is its Gateway; the agent of a node every service
 * account that runs there and that its token is for, and never itself, as no workload is an agent. The trust domain is compared,
 * which Istio does not (C19, C22).
 * `requested` is empty when the caller asks for himself without saying so. Source: docs/rules/control-plane.md.
 */
export function authorizeIdentity(caller: Proof, requested: string, directory: IdentityDirectory): Authorization {
  const { namespace, serviceAccount, node } = caller;
  const own = { trustDomain: directory.trustDomain, namespace, serviceAccount };
  const identity = requested === '' ? own : tryParseIdentity(requested);
  if (identity === null) return refused(`"${requested}" is not a workload identity`);
  if (identity.trustDomain !== directory.trustDomain)
    return refused(`${requested} is of another trust domain than ${directory.trustDomain}`);
  if (node === null) {
    if (!sameIdentity(identity, own)) return refused(`${formatIdentity(own)} may only ask for itself`);
    // Its token outlives its Gateway.
    return directory.reserved.isWaypoint(own)
      ? { kind: 'granted', identity }
      : refused(`${formatIdentity(own)} is no waypoint (any more)`);
  }
  const ungranted = accountRefusal(caller.grant ?? NO_GRANT, identity, directory.reserved);
  if (ungranted !== null) return refused(ungranted);
  if (!directory.nodes.identitiesOnNode(node).has(formatIdentity(identity))) {
    return { ...refused(`no workload of ${formatIdentity(identity)} runs on node ${node}`), absent: true };
  }
  return { kind: 'granted', identity };
}

function refused(why: string): { kind: 'refused'; why: string } {
  return { kind: 'refused', why };
}

/** Who signs, by what is decided, and who hears of a refusal. */
export type CertificateOffice = {
  authority: CertificateAuthority;
  directory: IdentityDirectory;
  /** Counts a refusal. */
  refused: () => void;
  log: Log;
};

/**
 * Answers one CreateCertificate call.
 * Errors: RpcError unauthenticated, without detail, when the caller may not have that identity; the log tells why.
 */
export async function createCertificate(
  { caller, request }: { caller: Proof; request: IstioCertificateRequest },
  { authority, directory, refused, log }: CertificateOffice,
): Promise<IstioCertificateResponse> {
  const impersonated = request.metadata?.ImpersonatedIdentity;
  const decision = await decide(caller, typeof impersonated === 'string' ? impersonated : '', directory);
  if (decision.kind === 'refused') {
    log.warn({ caller: callerText(caller), requested: impersonated, why: decision.why }, 'certificate refused');
    refused();
    throw new RpcError('unauthenticated', 'request authentication failure');
  }
  const certChain = await authority.issueWorkload(decision.identity, request.csr, Number(request.validityDuration));
  log.debug({ caller: callerText(caller), identity: formatIdentity(decision.identity) }, 'certificate issued');
  return create(IstioCertificateResponseSchema, { certChain });
}

/** An agent hears of a pod from its node before the API server tells of it: such a one is waited for (K96). */
async function decide(caller: Proof, requested: string, directory: IdentityDirectory): Promise<Authorization> {
  const decision = authorizeIdentity(caller, requested, directory);
  const { node, grant } = caller;
  if (decision.kind === 'granted' || decision.absent !== true || node === null || grant?.podsOnly !== true) return decision;
  await directory.nodes.appears(node, requested);
  return authorizeIdentity(caller, requested, directory);
}

function callerText({ namespace, serviceAccount, node }: Proof): string {
  return node === null ? `${namespace}/${serviceAccount}` : `node ${node}`;
}
