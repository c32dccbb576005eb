/** Counts what runs at once, in all and per workload, so that one workload cannot take every place. */
export type Admission = {
  /** Takes a place; the result gives it back (once, however often it is called). Null: full. */
  enter(workload: string): (() => void) | null;
  /** Places taken now. */
  size(): number;
};

/** An admission with no place taken. */
export function createAdmission(totalMax: number, perWorkloadMax: number): Admission {
  const taken = new Map<string, number>();
  let total = 0;
  return {
    enter(workload) {
      const own = taken.get(workload) ?? 0;
      if (total >= totalMax || own >= perWorkloadMax) return null;
      total++;
      taken.set(workload, own + 1);
      let entered = true;
      return () => {
        if (!entered) return;
        entered = false;
        total--;
        const left = (taken.get(workload) ?? 1) - 1;
        if (left === 0) taken.delete(workload);
        else taken.set(workload, left);
      };
    },
    size: () => total,
  };
}
