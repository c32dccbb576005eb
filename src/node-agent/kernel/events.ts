import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { identityOf } from '#model/mesh/workload.ts';
import type { IdTable } from '#model/path/ids.ts';
import { REASON } from '#model/path/kernel-flags.ts';
import { type Decision, evaluate, policiesFor } from '#model/policy/evaluate.ts';
import type { KernelEvent } from '#node-agent/effects/agent-effects.ts';

const WHY: ReadonlyMap<number, string> = new Map([
  [REASON.denied, 'denied by policy'],
  [REASON.noBackend, 'no healthy upstream'],
  [REASON.noSuchPort, 'the service has no such port'],
  [REASON.noMemory, 'the kernel has no memory for the connection record'],
  [REASON.reservedPort, 'a port of the mesh itself'],
  [REASON.noAgent, 'the agent is not running'],
  [REASON.notLocal, 'the address belongs to no workload of this node'],
]);

/** Writes one log line for a connection that the kernel refused, naming the policy and rule that decided. */
export function logRefusal(event: KernelEvent, mesh: MeshState, ids: IdTable, log: Log): void {
  const source = ids.nameOf(event.sourceId);
  const destination = ids.nameOf(event.destinationId);
  const decision = event.reason === REASON.denied ? explain(event, mesh, source, destination) : null;
  log.warn(
    {
      'src.workload': source ?? undefined,
      'src.addr': event.source === null ? undefined : formatAddress(event.source, event.sourcePort),
      'dst.addr': event.destination === null ? undefined : formatAddress(event.destination, event.destinationPort),
      'dst.workload': destination ?? undefined,
      response_flags: event.reason === REASON.denied ? 'DENY' : 'CONNECT',
      policy: decision?.policy ?? undefined,
      rule: decision?.rule ?? undefined,
      error: decision?.reason ?? WHY.get(event.reason) ?? `reason ${event.reason}`,
    },
    'connection refused by the kernel',
  );
}

/** The kernel keeps only the outcome; the same pure evaluation gives the name again. */
function explain(event: KernelEvent, mesh: MeshState, sourceUid: string | null, destinationUid: string | null): Decision | null {
  const source = mesh.workload(sourceUid ?? '');
  const destination = mesh.workload(destinationUid ?? '');
  const destinationIp = destination?.addresses[0];
  if (destination === null || destinationIp === undefined) return null;
  const set = policiesFor(mesh, destination);
  const sourceIp: IpAddress | undefined = event.source ?? source?.addresses[0];
  if (sourceIp === undefined) return null;
  for (const port of candidatePorts(event, destination.services.values())) {
    const decision = evaluate(set, {
      source: source === null ? null : identityOf(source),
      sourceIp,
      destinationIp,
      destinationPort: port,
    });
    if (!decision.allowed) return decision;
  }
  return null;
}

/** The event has the dialled port; the policy saw the workload's. */
function candidatePorts(
  event: KernelEvent,
  mappings: Iterable<readonly { servicePort: number; targetPort: number }[]>,
): Set<number> {
  const ports = new Set<number>();
  for (const list of mappings)
    for (const { servicePort, targetPort } of list) if (servicePort === event.destinationPort) ports.add(targetPort);
  return ports.add(event.destinationPort);
}
