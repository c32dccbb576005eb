import type { ErrorObject } from 'ajv';
import { nearestName } from '#control-plane/resources/nearest-name.ts';
import { DNS_LABEL, LABEL_VALUE, SUBDOMAIN } from '#control-plane/resources/schema.ts';

/** `at`: the missing field, when it is the field rather than the value that is wrong. */
export type Explanation = { at: string | null; message: string; remedy: string };

/** Gateway API durations (GEP-2257). */
const DURATION = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';

/** What each well-known pattern means to a person. */
const PATTERNS: Readonly<Record<string, { is: string; remedy: string }>> = {
  [SUBDOMAIN]: { is: 'not a valid name', remedy: 'use lower-case letters, digits, "-" and "."' },
  [DNS_LABEL]: { is: 'not a valid name', remedy: 'use lower-case letters, digits and "-"' },
  [`^$|${DNS_LABEL}`]: { is: 'not a valid name', remedy: 'use lower-case letters, digits and "-"' },
  [LABEL_VALUE]: {
    is: 'not a valid label value',
    remedy: 'use letters, digits, "-", "_" and ".", beginning and ending with a letter or digit',
  },
  [DURATION]: { is: 'not a duration', remedy: 'write whole numbers with h, m, s or ms, such as 1500ms or 1m30s' },
};

/** A sentence about one mismatch and the edit that mends it. */
export function explainMismatch(error: ErrorObject): Explanation {
  const { params, data } = error;
  switch (error.keyword) {
    case 'required':
      return missing(String(params.missingProperty));
    case 'type':
      return wrongType(expectedTypes(params.type), data);
    case 'enum':
      return notAllowed(data, params.allowedValues);
    case 'pattern':
      return wrongPattern(data, String(params.pattern));
    case 'anyOf':
      return wrongType(['integer', 'string'], data);
    default:
      return { at: null, message: `${show(data)} ${error.message ?? 'is not allowed'}`, remedy: limitRemedy(error) };
  }
}

function missing(name: string): Explanation {
  return { at: name, message: `"${name}" is required`, remedy: `add ${name}` };
}

function expectedTypes(type: unknown): string[] {
  return (Array.isArray(type) ? type : [type]).map(String).filter((name) => name !== 'null');
}

function wrongType(expected: readonly string[], data: unknown): Explanation {
  const wanted = expected.map(nameOfType).join(' or ');
  return { at: null, message: `must be ${wanted}, is ${nameOfValue(data)}`, remedy: typeRemedy(expected, data, wanted) };
}

function typeRemedy(expected: readonly string[], data: unknown, wanted: string): string {
  if (expected.includes('string') && (typeof data === 'number' || typeof data === 'boolean')) {
    return `write it in quotes: "${data}"`;
  }
  if (expected.includes('integer') && typeof data === 'string' && /^\d+$/.test(data)) return `write ${data} without quotes`;
  if (expected.includes('array') && data !== null) return 'write a list: put "- " in front of each item';
  return `write ${wanted}`;
}

function nameOfType(type: string): string {
  const names: Record<string, string> = {
    string: 'a text',
    integer: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
    array: 'a list',
    object: 'an object',
  };
  return names[type] ?? type;
}

function nameOfValue(data: unknown): string {
  if (data === null || data === undefined) return 'empty';
  if (Array.isArray(data)) return 'a list';
  if (typeof data === 'object') return 'an object';
  return typeof data === 'string' ? `the text ${show(data)}` : `${typeof data === 'number' ? 'the number ' : ''}${show(data)}`;
}

function notAllowed(data: unknown, allowed: unknown): Explanation {
  const names = Array.isArray(allowed) ? allowed.map(String) : [];
  const nearest = typeof data === 'string' ? nearestName(data, names) : null;
  return {
    at: null,
    message: `${show(data)} is not one of ${names.join(', ')}`,
    remedy: nearest === null ? `write one of ${names.join(', ')}` : `did you mean ${nearest}?`,
  };
}

function wrongPattern(data: unknown, pattern: string): Explanation {
  const known = PATTERNS[pattern];
  if (known === undefined) {
    return { at: null, message: `${show(data)} does not have the required form`, remedy: `write a text that matches ${pattern}` };
  }
  const fraction = pattern === DURATION && typeof data === 'string' ? /^(\d*\.\d+)(h|m|s)$/.exec(data) : null;
  if (fraction !== null) return fractionalDuration(String(data), Number(fraction[1]), fraction[2] ?? 's');
  return { at: null, message: `${show(data)} is ${known.is}`, remedy: known.remedy };
}

function fractionalDuration(text: string, amount: number, unit: string): Explanation {
  const unitMs = unit === 'h' ? 3_600_000 : unit === 'm' ? 60_000 : 1000;
  return {
    at: null,
    message: `"${text}" is not a duration: fractions are not allowed in Gateway API durations`,
    remedy: `write ${Math.round(amount * unitMs)}ms`,
  };
}

function limitRemedy(error: ErrorObject): string {
  const limit = error.params.limit;
  return typeof limit === 'number' ? `keep within the limit of ${limit}` : 'see the description of the field';
}

/** The exact value, shortened when it is long. */
function show(data: unknown): string {
  const text = JSON.stringify(data) ?? 'undefined';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
