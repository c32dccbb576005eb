import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { ATTRIBUTES } from '#model/expression/attributes.ts';
import { compileText, type ExpressionOutcome } from '#model/expression/expression.ts';
import { LABELS, LOCALITY_LABELS, REQUEST_LABELS } from '#model/telemetry/labels.ts';
import type { RawOverride } from './schema.ts';

/** What is done to a label; nothing written means UPSERT, as in Istio. */
type Operation = NonNullable<RawOverride['tagOverrides']>[string]['operation'];

/** Values of these are of a list that dashboards know, and what is not in it would be counted as "overflow". */
const CLOSED: readonly string[] = REQUEST_LABELS.filter((label) => typeof LABELS[label].bound !== 'number');
/** What Prometheus takes for a label, and does not need for itself. */
const LABEL_NAME = /^(?!__)(?!(?:le|quantile)$)[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Whether a Telemetry may change a label so: what is told to have no effect must have none. */
export function canChange(tag: string, operation: Operation): boolean {
  return !isLocality(tag) && (operation === 'REMOVE' || !CLOSED.includes(tag));
}

/** What the schema cannot say of an override of metrics. */
export function checkOverride({ tagOverrides = {} }: RawOverride, path: FieldPath): Problem[] {
  return Object.entries(tagOverrides).flatMap(([tag, { operation = 'UPSERT', value = '' }]) => {
    const at = [...path, 'tagOverrides', tag];
    // A page with such a label could not be read by Prometheus at all.
    if (!LABEL_NAME.test(tag)) {
      const message = `"${tag}" is no name that a label can have`;
      return [errorAt('WEFT_FIELD_INVALID', at, message, 'use letters, digits and _, and begin with a letter')];
    }
    // The CRD says this in CEL, which is not run from here.
    if (operation === 'REMOVE' && value !== '') {
      const message = 'value does not belong to operation REMOVE';
      return [errorAt('WEFT_FIELD_CONFLICT', [...at, 'value'], message, 'remove value')];
    }
    if (operation === 'UPSERT' && value === '') {
      const message = `tagOverrides.${tag}.value is required for UPSERT`;
      return [errorAt('WEFT_FIELD_INVALID', [...at, 'value'], message, 'write an expression of CEL, such as request.host')];
    }
    if (!canChange(tag, operation)) return [unchangeable(tag, at)];
    const outcome = operation === 'UPSERT' ? compileText(value) : null;
    return outcome?.kind === 'refused' ? [faultOf(outcome, [...at, 'value'])] : [];
  });
}

/** Told and not refused: the rest of the override is worth having. */
function unchangeable(tag: string, at: FieldPath): Problem {
  const why = isLocality(tag) ? 'tells where it was, as nodes do' : 'has a fixed list of values';
  return warningAt('WEFT_FIELD_IGNORED', at, `label ${tag} ${why}: it stays as it is`, 'give the value to a label of your own');
}

/** A page leaves them out where nothing is known, all four at once, so that one of them cannot be taken away. */
function isLocality(tag: string): boolean {
  return LOCALITY_LABELS.some((label) => label === tag);
}

/** What cannot be evaluated refuses the resource: its last good version goes on, and nothing is left out or counted by mistake. */
export function faultOf({ why, unknown }: Extract<ExpressionOutcome, { kind: 'refused' }>, path: FieldPath): Problem {
  const nearest = unknown === null ? '' : didYouMean(unknown, Object.keys(ATTRIBUTES));
  const remedy = 'write it in CEL with the attributes of docs/rules/configuration.md (config-api 5.1)';
  return errorAt('WEFT_FIELD_INVALID', path, `the expression cannot be evaluated: ${why}${nearest}`, remedy);
}
