/** Milliseconds of each unit that the protocol of gRPC over HTTP/2 knows. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** How long a call may take, in whole milliseconds, rounded up; null: it does not say, or nobody could read it. */
export function readGrpcTimeout(value: string | null): number | null {
  const [, digits = '', unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(value ?? '') ?? [];
  return digits === '' ? null : Math.ceil(Number(digits) * (UNITS[unit] ?? 0));
}

/** The same as it is written: at most eight digits. */
export function writeGrpcTimeout(timeoutMs: number): string {
  return timeoutMs <= 99_999_999 ? `${timeoutMs}m` : `${Math.floor(timeoutMs / 1_000)}S`;
}
