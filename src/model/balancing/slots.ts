import type { IpAddress } from '#model/address/ip.ts';

/** One place that the kernel may draw for a connection to a service. */
export type Slot = { readonly ip: IpAddress; readonly port: number };

/**
 * The wanted slots in an order that leaves as many as can be where they were: `before` is what the kernel holds, which draws by
 * number alone, so order says nothing to it and each difference costs a write.
 */
export function arrangeSlots(before: readonly Slot[], wanted: readonly Slot[]): Slot[] {
  // By address alone, of which nearly each has one slot: of a large service other words would cost more than all else.
  const left = new Map<IpAddress, Slot[]>();
  for (const slot of wanted) {
    const same = left.get(slot.ip);
    if (same === undefined) left.set(slot.ip, [slot]);
    else same.push(slot);
  }
  const arranged = before.slice(0, wanted.length).map((slot) => taken(left.get(slot.ip), slot));
  while (arranged.length < wanted.length) arranged.push(null);
  const others = [...left.values()].flat().values();
  return arranged.flatMap((slot) => slot ?? others.next().value ?? []);
}

/** One that is the same, which is then no longer among `slots`; null: there is none. */
function taken(slots: Slot[] | undefined, wanted: Slot): Slot | null {
  if (slots === undefined) return null;
  const at = slots.findLastIndex((slot) => slot.port === wanted.port);
  return at < 0 ? null : (slots.splice(at, 1)[0] ?? null);
}

/** Whether both lead to the same place. */
export function sameSlot(a: Slot | undefined, b: Slot | undefined): boolean {
  return a?.ip === b?.ip && a?.port === b?.port;
}
