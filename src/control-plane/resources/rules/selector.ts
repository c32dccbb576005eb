import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import type { Labels, RawWorkloadSelector } from '#control-plane/resources/metadata.ts';

/**
 * The labels a policy's workloads must carry; null for the whole scope. `selector: {}` means the whole
 * scope too: a policy that looks as if it applied to everything must not apply to nothing.
 */
export function readWorkloadSelector(raw: RawWorkloadSelector | undefined): Labels | null {
  const labels = raw?.matchLabels ?? {};
  return Object.keys(labels).length === 0 ? null : labels;
}

/** Selectors compare whole labels: no wildcards. */
export function checkSelector(raw: RawWorkloadSelector | undefined): Problem[] {
  const problems: Problem[] = [];
  for (const [key, value] of Object.entries(raw?.matchLabels ?? {})) {
    if (key !== '' && !key.includes('*') && !value.includes('*')) continue;
    const message = `a selector compares whole labels: "${key}: ${value}" would match nothing`;
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec', 'selector', 'matchLabels', key], message, 'write the exact label'));
  }
  return problems;
}
