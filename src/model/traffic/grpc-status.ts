/** Statuses of gRPC by number. */
const NAMES = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED'],
  ...['RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE'],
  ...['DATA_LOSS', 'UNAUTHENTICATED'],
];

/** The number of a status that is written as its name or as its number; null when it is neither. */
export function grpcStatusNamed(text: string): number | null {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : NAMES.indexOf(text.toUpperCase());
  return number >= 0 && number < NAMES.length ? number : null;
}
