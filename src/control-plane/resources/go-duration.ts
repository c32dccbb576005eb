const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

/** Milliseconds of a duration as Go writes it, which Istio's resources hold: `1m30s`, `1.5s`; null for what is none. */
export function goDurationMs(text: string): number | null {
  if (!/^(\d+(\.\d+)?(ms|us|µs|ns|h|m|s))+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)/g))
    totalMs += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  return totalMs;
}
