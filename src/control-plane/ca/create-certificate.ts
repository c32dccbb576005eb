import { create } from '@bufbuild/protobuf';
import type { Proof } from '#control-plane/authentication/authenticator.ts';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import type { Log } from '#model/effects/log.ts';
import { formatIdentity, type Identity, sameIdentity, tryParseIdentity } from '#model/identity/identity.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { accountRefusal, NO_GRANT, type Reserved } from '#model/trust/grant.ts';
import { type IstioCertificateRequest, type IstioCertificateResponse, IstioCertificateResponseSchema } from '#proto/ca_pb.js';
import { RpcError } from '#protocol/xds/resource-fault.ts';

/** Which identity a caller gets a certificate for. `why` is for the log: the peer is told nothing. */
export type Authorization = { kind: 'granted'; identity: Identity } | { kind: 'refused'; why: string };

/** What the mesh knows about who runs where. */
export type IdentityDirectory = {
  trustDomain: string;
  /** Identities of the workloads on a node, as SPIFFE URIs. */
  identitiesOnNode(node: string): ReadonlySet<string>;
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
  if (!directory.identitiesOnNode(node).has(formatIdentity(identity))) {
    return refused(`no workload of ${formatIdentity(identity)} runs on node ${node}`);
  }
  return { kind: 'granted', identity };
}

function refused(why: string): Authorization {
  return { kind: 'refused', why };
}

/** Which identities run on which node, kept up from the mesh's workloads: what an agent may ask certificates for. */
export class NodeIdentities {
  /** uid → where it runs, as whom. */
  readonly #workloads = new Map<string, { node: string; uri: string }>();
  /** node → identity → how many of its workloads have it. */
  readonly #nodes = new Map<string, Map<string, number>>();

  apply(workloads: ReadonlyMap<string, Workload | null>): void {
    // Counted, because several workloads of a node share an identity: it stays until the last of them is gone.
    for (const [uid, workload] of workloads) {
      const before = this.#workloads.get(uid);
      if (before !== undefined) this.#count(before, -1);
      if (workload === null || workload.node === '') {
        this.#workloads.delete(uid);
      } else {
        const placed = { node: workload.node, uri: formatIdentity(identityOf(workload)) };
        this.#workloads.set(uid, placed);
        this.#count(placed, 1);
      }
    }
  }

  /** SPIFFE URIs of the workloads on a node. */
  identitiesOnNode(node: string): ReadonlySet<string> {
    return new Set(this.#nodes.get(node)?.keys());
  }

  #count({ node, uri }: { node: string; uri: string }, by: 1 | -1): void {
    const counts = this.#nodes.get(node) ?? new Map<string, number>();
    const count = (counts.get(uri) ?? 0) + by;
    if (count > 0) counts.set(uri, count);
    else counts.delete(uri);
    if (counts.size > 0) this.#nodes.set(node, counts);
    else this.#nodes.delete(node);
  }
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
  const decision = authorizeIdentity(caller, typeof impersonated === 'string' ? impersonated : '', directory);
  if (decision.kind === 'refused') {
    log.warn({ caller: callerText(caller), requested: impersonated, why: decision.why }, 'certificate refused');
    refused();
    throw new RpcError('unauthenticated', 'request authentication failure');
  }
  const certChain = await authority.issueWorkload(decision.identity, request.csr, Number(request.validityDuration));
  log.debug({ caller: callerText(caller), identity: formatIdentity(decision.identity) }, 'certificate issued');
  return create(IstioCertificateResponseSchema, { certChain });
}

function callerText({ namespace, serviceAccount, node }: Proof): string {
  return node === null ? `${namespace}/${serviceAccount}` : `node ${node}`;
}
