/** What the words of Envoy's retry conditions come to. */
export type RetryConditions = {
  /** Statuses that are a failure, in order. */
  readonly codes: readonly number[];
  /** Statuses of gRPC, likewise. */
  readonly grpcStatuses: readonly number[];
  /** So is an answer that does not come. */
  readonly unanswered: boolean;
  /** Words that nothing comes of here. */
  readonly unknown: readonly string[];
};

/** What holds for retries that do not say on what (config-api 4.4). */
export const USUAL_RETRY_ON = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';

const SERVER_ERRORS = Array.from({ length: 100 }, (_, at) => 500 + at);

/**
 * Words that name failures after which surely nothing was processed: those are followed by another try anyway; and the one that
 * says that there are codes, which are listed beside it.
 */
const ALWAYS: readonly string[] = ['connect-failure', 'refused-stream', 'reset-before-request', 'retriable-status-codes'];

const CODES: Readonly<Record<string, readonly number[]>> = {
  '5xx': SERVER_ERRORS,
  'gateway-error': [502, 503, 504],
  'retriable-4xx': [409],
};

/** Envoy counts a reset as the 5xx that it becomes. */
const UNANSWERED: readonly string[] = ['5xx', 'gateway-error', 'reset'];

const GRPC: Readonly<Record<string, number>> = {
  cancelled: 1,
  'deadline-exceeded': 4,
  'resource-exhausted': 8,
  internal: 13,
  unavailable: 14,
};

/** Reads `retryOn`: words and statuses, with commas between. */
export function readRetryOn(text: string): RetryConditions {
  const words = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  const numbers = words.filter(isStatus).map(Number);
  const codes = new Set([...words.flatMap((word) => ownOf(CODES, word) ?? []), ...numbers]);
  const known = (word: string): boolean =>
    ALWAYS.includes(word) || UNANSWERED.includes(word) || isStatus(word) || (ownOf(CODES, word) ?? ownOf(GRPC, word)) !== null;
  return {
    codes: [...codes].sort((a, b) => a - b),
    grpcStatuses: [...new Set(words.flatMap((word) => ownOf(GRPC, word) ?? []))].sort((a, b) => a - b),
    unanswered: words.some((word) => UNANSWERED.includes(word)),
    unknown: words.filter((word) => !known(word)),
  };
}

function isStatus(word: string): boolean {
  return /^[1-5]\d\d$/.test(word);
}

function ownOf<Value>(record: Readonly<Record<string, Value>>, key: string): Value | null {
  return Object.hasOwn(record, key) ? (record[key] ?? null) : null;
}
