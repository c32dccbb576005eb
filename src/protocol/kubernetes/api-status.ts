/** What an API server answers in place of what was asked. */
export type ApiStatus = {
  /** As in HTTP. */
  code: number;
  /** One word of Kubernetes: `Expired`, `NotFound`, `Conflict`. */
  reason: string;
  message: string;
  /** Not before this many seconds; null: it does not say. */
  retryAfterS: number | null;
};

/** A Status object as it came; of anything else, that it was one. */
export function readStatus(value: unknown, code = 500): ApiStatus {
  const status = (typeof value === 'object' && value !== null ? value : {}) as {
    code?: unknown;
    reason?: unknown;
    message?: unknown;
    details?: { retryAfterSeconds?: unknown } | null;
  };
  const wait = status.details?.retryAfterSeconds;
  return {
    code: typeof status.code === 'number' ? status.code : code,
    reason: typeof status.reason === 'string' ? status.reason : '',
    message: typeof status.message === 'string' ? status.message : `HTTP ${code}`,
    retryAfterS: typeof wait === 'number' && wait > 0 ? wait : null,
  };
}

/** Whether what was asked for is older than what the server remembers: everything has to be read anew. */
export function isExpired({ code, reason }: ApiStatus): boolean {
  return code === 410 || reason === 'Expired' || reason === 'Gone';
}
