import type { Labels } from '#control-plane/resources/metadata.ts';

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
