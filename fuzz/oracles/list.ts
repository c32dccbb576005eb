import type { Comparison } from './comparison.ts';
import { hpackComparison } from './hpack.ts';
import { http1Comparison } from './http1-request.ts';

/** Parsers of ours beside those of others. */
export const COMPARISONS: readonly Comparison[] = [http1Comparison, hpackComparison];
