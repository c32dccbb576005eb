import { errorAt, type Problem } from '#control-plane/resources/finding.ts';
import type { Labels, RawWorkloadSelector } from '#control-plane/resources/metadata.ts';

/** A Kubernetes label selector: everything in it must hold. */
export type LabelSelector = { matchLabels: Labels; matchExpressions: readonly LabelExpression[] };

/** One condition on one label. */
export type LabelExpression = { key: string; operator: string; values: readonly string[] };

/** A selector as written. */
export type RawLabelSelector = {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
};

/** The selector with its missing parts filled in. */
export function readLabelSelector(raw: RawLabelSelector): LabelSelector {
  const matchExpressions = (raw.matchExpressions ?? []).map(({ key, operator, values }) => ({
    key,
    operator,
    values: values ?? [],
  }));
  return { matchLabels: raw.matchLabels ?? {}, matchExpressions };
}

/** Whether every label of `wanted` is there with the same value; an empty `wanted` matches everything. */
export function labelsMatch(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

/** An unknown operator never matches. */
export function selectorMatches(selector: LabelSelector, labels: Labels): boolean {
  return labelsMatch(selector.matchLabels, labels) && selector.matchExpressions.every((one) => expressionMatches(one, labels));
}

function expressionMatches({ key, operator, values }: LabelExpression, labels: Labels): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

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
