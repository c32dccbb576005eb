import type { IpAddress } from '#model/address/ip.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { L4Decision } from '#model/policy/l4.ts';
import type { RecordPath, RecordSource } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { type Answer, type Choice, refusalData } from '#node-agent/seam/messages.ts';
import type { CarriedConnection, OutgoingConnection } from './carried-connections.ts';

/** What of the mesh an answer was made of. */
export type Grounds = {
  readonly ips: Set<IpAddress>;
  readonly services: Set<ServiceKey>;
  readonly workloads: Set<string>;
  /** Service names that were looked up, whether or not there is such a service. */
  readonly hostnames: Set<string>;
  /** It depends on more than is worth telling: every change touches it. */
  isBroad: boolean;
};

/** Nothing yet. */
export function noGrounds(): Grounds {
  return { ips: new Set(), services: new Set(), workloads: new Set(), hostnames: new Set(), isBroad: false };
}

/** Whether a change touches what an answer was made of; a change of policies, or of blocks of addresses, touches all. */
export function touches(touched: Touched, grounds: Grounds): boolean {
  if (touched.policies || touched.blocks || grounds.isBroad) return true;
  return (
    meets(touched.ips, grounds.ips) ||
    meets(touched.services, grounds.services) ||
    meets(touched.workloads, grounds.workloads) ||
    (grounds.hostnames.size > 0 && [...touched.services].some((key) => grounds.hostnames.has(key.slice(key.indexOf('/') + 1))))
  );
}

function meets<Value>(many: ReadonlySet<Value>, few: ReadonlySet<Value>): boolean {
  for (const one of few) if (many.has(one)) return true;
  return false;
}

/** What a path is told to be allowed by. */
export function allowedBy({ allowed, policy, rule }: L4Decision): Pick<RecordPath, 'allowedBy'> {
  return allowed && policy !== null ? { allowedBy: { policy, rule } } : {};
}

/** What connections that go by a choice are judged by, for as long as there are any; null: nothing that is judged again. */
export type Right =
  | ({ readonly kind: 'arriving' } & Omit<CarriedConnection, 'abort'>)
  | ({ readonly kind: 'leaving' } & Omit<OutgoingConnection, 'abort'>)
  | null;

/** A pair and port whose verdict the kernel is to remember. `isDirect`: the kernel then decides the next connection alone. */
export type Pair = {
  readonly source: Workload | null;
  readonly destination: Workload;
  readonly port: number;
  readonly isDirect: boolean;
};

/** An answer with what it was made of. */
export type Judged = {
  readonly answer: Answer;
  /** By choice. */
  readonly rights: readonly Right[];
  readonly grounds: Grounds;
  readonly pairs: readonly Pair[];
  /**
   * False: something that it depends on may be about to arrive (a record, a policy that is named, an instance of a waypoint):
   * it is waited for within bounds, and an answer without it is for those that waited, and for nobody after them.
   */
  readonly isSettled: boolean;
  /** Others that ask the same may have it, too. */
  readonly keeps: boolean;
};

/** The record of a workload as far as logs and metrics tell it: which services and policies it has, they do not. */
export function told<Some extends Workload | null>(workload: Some): Some {
  return workload === null ? workload : { ...workload, services: NO_SERVICES, authorizationPolicies: [] };
}

const NO_SERVICES: Workload['services'] = new Map();

/** A choice that leads nowhere. */
export function refusedChoice(path: RecordPath, refusal: Refusal): Choice {
  return { weight: 1, way: { kind: 'refused', refusal: refusalData(refusal) }, path, dryRun: [], endpoint: null };
}

/** An answer that leads nowhere, and that nobody keeps: the next one asks again. */
export function refused(
  source: Pick<RecordSource, 'workload' | 'identity'>,
  path: RecordPath,
  refusal: Refusal,
  isSettled = true,
): Judged {
  const answer = { source, choices: [refusedChoice(path, refusal)] };
  return { answer, rights: [null], grounds: noGrounds(), pairs: [], isSettled, keeps: false };
}

/** Without a record there is nothing to judge by. */
export function unknownWorkload(): Refusal {
  return new Refusal('unknown-workload', 'the control plane does not know this workload');
}
