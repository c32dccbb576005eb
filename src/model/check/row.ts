/** What `weft check` looks at, in this order. */
export const AREAS = [
  'machine',
  'limits',
  'ports',
  'network',
  'names',
  'places',
  'configuration',
  'certificates',
  'clock',
  'control plane',
  'agents',
  'leftovers',
  'cluster',
] as const;
/** One of them. */
export type Area = (typeof AREAS)[number];

/** How bad a finding is. error: something does not work, or is open to others; warning: it will, or only part of it does. */
export type FindingLevel = 'error' | 'warning';

/** What a code says wherever it is found: what is wrong, why it matters, what to do. */
export type CheckRow = { area: Area; level: FindingLevel; means: string; why: string; remedy: string };

/** A row of the table of codes. */
export function row(area: Area, level: FindingLevel, means: string, why: string, remedy: string): CheckRow {
  return { area, level, means, why, remedy };
}
