/**
 * When a command that has ended is started again. `always` and `unless-stopped` are the same here: nothing but `weft run` itself
 * starts a workload, so one that was stopped stays so. `timesMax` null: as often as it fails.
 */
export type RestartPolicy =
  | { readonly kind: 'no' | 'always' | 'unless-stopped' }
  | { readonly kind: 'on-failure'; readonly timesMax: number | null };

/** Nothing is started again. */
export const NO_RESTART: RestartPolicy = { kind: 'no' };

/** Reads `no`, `on-failure`, `on-failure:3`, `always`, `unless-stopped`; null when it is none of them. */
export function readRestartPolicy(text: string): RestartPolicy | null {
  if (text === 'no' || text === 'always' || text === 'unless-stopped') return { kind: text };
  const [whole, times] = /^on-failure(?::([1-9]\d{0,5}))?$/.exec(text) ?? [];
  if (whole === undefined) return null;
  return { kind: 'on-failure', timesMax: times === undefined ? null : Number(times) };
}

/** Whether a command that ended by itself with this exit code is started again; `times`: how often it was before. */
export function startsAgain(policy: RestartPolicy, { code, times }: { code: number; times: number }): boolean {
  if (policy.kind !== 'on-failure') return policy.kind !== 'no';
  return code !== 0 && (policy.timesMax === null || times < policy.timesMax);
}
