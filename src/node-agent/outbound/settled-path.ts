import { familyOf, type IpAddress } from '#model/address/ip.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { decideOutbound, type OutboundPath, type OutboundQuestion, type Tried } from '#model/path/decide.ts';
import { connectionOf, decideL4, isUndecided, policiesFor } from '#model/policy/l4.ts';
import type { RecordEnd } from '#model/telemetry/access-record.ts';
import type { Refusal } from '#model/telemetry/close-cause.ts';
import type { AgentContext } from '#node-agent/connection/context.ts';

/** Where it goes. A way that lacks what is often only about to arrive is asked for again after each change, within bounds. */
export async function settledPath(context: AgentContext, question: OutboundQuestion, client: RecordEnd): Promise<OutboundPath> {
  const isLocal = (uid: string): boolean => context.records.isLocal(uid);
  const view = { mesh: context.mesh, isLocal, random: context.effects.random };
  const now = decideOutbound(question, view);
  if (isSettled(context, question.source, client, now)) return now;
  const later = await context.known(() => {
    const then = decideOutbound(question, view);
    return isSettled(context, question.source, client, then) ? then : null;
  });
  return later ?? decideOutbound(question, view);
}

/** False: an instance of its waypoint, the record of an enrolment of this node or a policy that is named may be on its way. */
function isSettled(context: AgentContext, source: Workload, client: RecordEnd, path: OutboundPath): boolean {
  switch (path.kind) {
    case 'refused':
      return path.cause !== 'no-waypoint';
    case 'waypoint':
      return true;
    case 'passthrough':
    case 'plain':
      return context.enrollment.byAddress(path.ip) === null;
    case 'hbone':
    case 'local': {
      if (path.kind === 'hbone' && context.enrollment.byAddress(path.ip) !== null) return false;
      const policies = policiesFor(context.mesh, path.workload);
      if (policies.missing.length === 0) return true;
      return !isUndecided(policies, decideL4(policies, connectionOf(source, clientTo(path.ip, source, client).ip, path)));
    }
    default:
      return path satisfies never;
  }
}

/** The client as an endpoint of the other family than was dialled sees it: under the address of that family. */
export function clientTo(target: IpAddress, { addresses }: Workload, client: RecordEnd): RecordEnd {
  if (familyOf(target) === familyOf(client.ip)) return client;
  const ip = addresses.find((one) => familyOf(one) === familyOf(target));
  return ip === undefined ? client : { ip, port: client.port };
}

/**
 * The endpoint of a service that could not be reached, so that another is tried; null: this one decides, as what was dialled
 * is no service, or somebody did answer. Nothing of the client has been read by then, so nothing can come twice.
 */
export function unreached(path: OutboundPath, { why, flag }: Refusal): Tried | null {
  if (path.kind !== 'hbone' && path.kind !== 'local' && path.kind !== 'plain') return null;
  const isUnreached = why === 'connect-failed' || why === 'tunnel-refused' || (why === 'tunnel-failed' && flag === 'CONNECT');
  return path.service !== null && isUnreached ? { uid: path.workload.uid, ip: path.ip, port: path.port } : null;
}
