import type { IpAddress } from '#model/address/ip.ts';

/** One place that the kernel may draw for a connection to a service. */
export type Slot = { readonly ip: IpAddress; readonly port: number };

/**
 * The wanted slots in an order that leaves as many as can be where they were: `before` is what the kernel holds, which draws by
 * number alone, so order says nothing to it and each difference costs a write.
 */
export function arrangeSlots(before: readonly Slot[], wanted: readonly Slot[]): Slot[] {
  const left = new Map<string, Slot[]>();
  for (const slot of wanted) {
    const same = left.get(placeOf(slot));
    if (same === undefined) left.set(placeOf(slot), [slot]);
    else same.push(slot);
  }
  const arranged = before.slice(0, wanted.length).map((slot) => left.get(placeOf(slot))?.pop() ?? null);
  while (arranged.length < wanted.length) arranged.push(null);
  const others = [...left.values()].flat().values();
  return arranged.flatMap((slot) => slot ?? others.next().value ?? []);
}

/** Whether both lead to the same place. */
export function sameSlot(a: Slot | undefined, b: Slot | undefined): boolean {
  return a?.ip === b?.ip && a?.port === b?.port;
}

function placeOf({ ip, port }: Slot): string {
  return `${ip} ${port}`;
}
