import type { Identity } from '#model/identity/identity.ts';
import { TAKEN } from '#model/kernel/abi.ts';
import type { Origin } from '#model/kernel/maps.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { decideOutbound } from '#model/path/decide.ts';
import type { RecordEnd } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { AgentContext } from '#node-agent/connection/context.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';

/** Who opened a connection; both null: a peer without identity. */
export type Opener = { readonly workload: Workload | null; readonly identity: Identity | null };

/** What the kernel wrote down of a connection of this node; null: it comes from outside. */
export type Attestation = { readonly opener: Enrolled; readonly origin: Origin } | null;

/**
 * Takes the record of an accepted connection that was handed over instead of let in, so that it lets in no other. From an
 * address of this node there must be one, and it must mean this very enrolment: such a connection is never plain text.
 */
export function takeAttestation(
  context: AgentContext,
  enrolled: Enrolled,
  { remote, local }: { remote: RecordEnd; local: RecordEnd },
): Attestation | Refusal {
  const flow = {
    netnsCookie: 0n,
    source: remote.ip,
    destination: local.ip,
    sourcePort: remote.port,
    destinationPort: local.port,
  };
  const { attested } = context.effects.kernel.maps;
  const origin = attested.get(flow);
  if (origin === null)
    return context.enrollment.byAddress(remote.ip) === null ? null : notAttested('the kernel has no record of it');
  if (origin.taken !== TAKEN.not || origin.destinationId !== enrolled.id)
    return notAttested('its record is of another connection');
  attested.delete(flow);
  const opener = context.enrollment.byId(origin.sourceId);
  return opener === null ? new Refusal('workload-left', 'the workload that opened it left the mesh') : { opener, origin };
}

/** The service that its opener dialled, as the kernel wrote it down: for the log, nothing is decided by it. */
export function dialledVip({ mesh }: AgentContext, attestation: Attestation | Refusal): Service | null {
  if (attestation === null || attestation instanceof Refusal || attestation.origin.dialled === null) return null;
  return mesh.serviceByVip(attestation.origin.dialled, attestation.opener.identity.namespace);
}

/** Whom policy judges, once that is known; and whether what was dialled still leads here, and not to a waypoint by now. */
export async function openerOf(
  context: AgentContext,
  attestation: Attestation | Refusal,
  target: RecordEnd,
): Promise<Opener | Refusal> {
  if (attestation === null) return { workload: null, identity: null };
  if (attestation instanceof Refusal) return attestation;
  const { opener, origin } = attestation;
  const workload = await context.record(opener);
  if (workload === null) return new Refusal('unknown-workload', 'the control plane does not know the workload that opened it');
  const dialled = { ip: origin.dialled ?? target.ip, port: origin.dialledPort };
  const isLocal = (uid: string): boolean => context.records.isLocal(uid);
  const view = { mesh: context.mesh, isLocal, random: context.effects.random };
  const path = decideOutbound({ source: workload, dialled, chosen: target }, view);
  if (path.kind === 'refused') return new Refusal(path.cause, path.reason);
  if (path.kind !== 'local' || path.ip !== target.ip || path.port !== target.port)
    return notAttested(`what was dialled leads elsewhere by now (${path.kind})`);
  return { workload, identity: opener.identity };
}

function notAttested(why: string): Refusal {
  return new Refusal('not-attested', `a connection of this node that is not attested: ${why}`);
}
