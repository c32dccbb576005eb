import type { IpAddress } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import { DOOR } from '#model/settings/doors.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { Doorkeeper, type DoorLimits } from './doorkeeper.ts';

const PACE = {
  burst: DOOR.burst,
  perSecond: DOOR.beginsPerSecond,
  failureCost: DOOR.failureCost,
  sourcesMax: DOOR.sourcesMax,
};

/** Of the ports where a certificate or a token is to be shown. */
export const DOOR_LIMITS: DoorLimits = {
  waitingMax: DOOR.waitingMax,
  strangersMax: DOOR.strangersMax,
  perStrangerMax: DOOR.perStrangerMax,
  deadlineMs: DOOR.deadlineMs,
  pressedDeadlineMs: DOOR.pressedDeadlineMs,
  pace: PACE,
};

/** Of a metrics page, where nothing is to be shown: a connection waits for as long as it is open. */
export const PAGE_LIMITS: DoorLimits = {
  ...DOOR_LIMITS,
  waitingMax: DOOR.pageWaitingMax,
  strangersMax: DOOR.pageStrangersMax,
  perStrangerMax: DOOR.pagePerStrangerMax,
};

/** A kind of port with a doorkeeper: label value of weft_unproved_closed_total. */
export type DoorName = 'tunnel' | 'control' | 'page';

/** What a doorkeeper of a process needs. isKnown: whether an address is one of the mesh. */
export type CountedDoorOptions = {
  name: DoorName;
  meters: Meters;
  clock: Clock;
  isKnown(ip: IpAddress): boolean;
  /** How many keep the same door, each in a thread of its own; all together let in no more than one would. Without it: one. */
  keepers?: number;
};

/** The part of what a door admits that falls to one of several who keep it. Times are no amounts: each has all of them. */
export function partOf(limits: DoorLimits, keepers: number): DoorLimits {
  const part = (whole: number): number => Math.max(1, Math.floor(whole / keepers));
  const { waitingMax, strangersMax, perStrangerMax, pace } = limits;
  return {
    ...limits,
    waitingMax: part(waitingMax),
    strangersMax: part(strangersMax),
    perStrangerMax: part(perStrangerMax),
    pace: { ...pace, burst: part(pace.burst), perSecond: pace.perSecond / keepers },
  };
}

/** The doorkeeper of all ports of one kind in a process: what it closes is counted. */
export function countedDoor({ name, meters, clock, isKnown, keepers = 1 }: CountedDoorOptions): Doorkeeper {
  return new Doorkeeper({
    limits: partOf(name === 'page' ? PAGE_LIMITS : DOOR_LIMITS, keepers),
    clock,
    isKnown,
    onClosed: (why) => meters.counter('weft_unproved_closed_total', { door: name, closed_for: why }).add(),
  });
}
