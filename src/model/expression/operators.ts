import { compileRegex } from '#model/routing/regex/regex.ts';
import type { Facts, Value, ValueType } from './attributes.ts';
import { ExpressionFault } from './tokens.ts';

/** A part of an expression. What it needs and is not there makes it undefined: neither true nor false. */
export type Part = {
  readonly type: ValueType;
  readonly of: (facts: Facts) => Value | undefined;
  /** What is written, if it is a value itself. */
  readonly literal?: Value;
};

/** A value that is written. */
export function literal(type: ValueType, value: Value): Part {
  return { type, of: () => value, literal: value };
}

/** Either of two that are false or true decides alone: what is missing on the other side does not matter (CEL). */
export function both(a: Part, b: Part, decides: boolean): Part {
  const sign = decides ? '||' : '&&';
  want(a, 'truth', sign);
  want(b, 'truth', sign);
  return {
    type: 'truth',
    of: (facts) => {
      const first = a.of(facts);
      if (first === decides) return decides;
      const second = b.of(facts);
      return second === decides ? decides : first === undefined || second === undefined ? undefined : !decides;
    },
  };
}

/** `a ? b : c`. */
export function choice(condition: Part, yes: Part, no: Part): Part {
  want(condition, 'truth', '?');
  if (yes.type !== no.type)
    throw new ExpressionFault(`both sides of ":" are of one type, and here they are ${yes.type} and ${no.type}`);
  return {
    type: yes.type,
    of: (facts) => {
      const chosen = condition.of(facts);
      return chosen === undefined ? undefined : chosen === true ? yes.of(facts) : no.of(facts);
    },
  };
}

type Binary = (a: Value, b: Value) => Value;

/** Values are of one type on both sides, so these compare what they seem to. */
const COMPARISONS: Readonly<Record<string, Binary>> = {
  '==': (a, b) => same(a, b),
  '!=': (a, b) => !same(a, b),
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

/** Whether a sign compares two values. */
export function isComparison(sign: string): boolean {
  return Object.hasOwn(COMPARISONS, sign) || sign === 'in';
}

/** One of the comparisons, or `in`. */
export function comparison(sign: string, a: Part, b: Part): Part {
  if (sign === 'in') return membership(a, b);
  const compare = COMPARISONS[sign];
  const isOrdered = ['number', 'text', 'time'].includes(a.type);
  const isEquality = sign === '==' || sign === '!=';
  if (compare === undefined || a.type !== b.type || a.type === 'headers' || !(isEquality || isOrdered))
    throw new ExpressionFault(`"${sign}" does not compare ${a.type} with ${b.type}`);
  return binary('truth', a, b, compare);
}

function membership(a: Part, b: Part): Part {
  if (b.type === 'headers') {
    if (typeof a.literal !== 'string') throw new ExpressionFault('the name of a header is written as a text');
    const name = a.literal.toLowerCase();
    return { type: 'truth', of: (facts) => facts.header(name) !== undefined };
  }
  if (b.type !== 'list') throw new ExpressionFault(`"in" looks into a list or into headers, not into ${b.type}`);
  return binary('truth', a, b, (value, list) => Array.isArray(list) && list.some((one) => same(value, one as Value)));
}

/** Texts one after the other, or the sum; `-`: the difference. */
export function sum(sign: string, a: Part, b: Part): Part {
  const types = sign === '+' ? ['number', 'text', 'time'] : ['number', 'time'];
  if (a.type !== b.type || !types.includes(a.type)) throw new ExpressionFault(`"${sign}" does not take ${a.type} and ${b.type}`);
  if (sign === '-') return binary(a.type, a, b, (x, y) => Number(x) - Number(y));
  return binary(a.type, a, b, (x, y) => (a.type === 'text' ? `${x}${y}` : Number(x) + Number(y)));
}

/** `!` or `-` before a value. */
export function unary(sign: string, a: Part): Part {
  want(a, sign === '!' ? 'truth' : 'number', sign);
  const act = sign === '!' ? (value: Value) => value !== true : (value: Value) => -Number(value);
  return {
    type: a.type,
    of: (facts) => {
      const value = a.of(facts);
      return value === undefined ? undefined : act(value);
    },
  };
}

const METHODS: Readonly<Record<string, (text: string, other: string) => boolean>> = {
  startsWith: (text, start) => text.startsWith(start),
  endsWith: (text, end) => text.endsWith(end),
  contains: (text, part) => text.includes(part),
};

/** `text.startsWith(…)` and the like. Patterns are written, so that they are compiled once. */
export function method(name: string, of: Part, args: readonly Part[]): Part {
  const [first, second] = args;
  if (name === 'size' && first === undefined) return size(of);
  const test = METHODS[name];
  if (test === undefined && name !== 'matches') throw new ExpressionFault(`there is no function ${name}`, name);
  if (first === undefined || second !== undefined) throw new ExpressionFault(`${name} takes one text`);
  want(of, 'text', name);
  want(first, 'text', name);
  if (test !== undefined) return binary('truth', of, first, (text, other) => test(String(text), String(other)));
  if (typeof first.literal !== 'string') throw new ExpressionFault('the pattern of matches is written as a text');
  // Anywhere in the text, as RE2's partial match.
  const outcome = compileRegex(`(?s).*(?:${first.literal}).*`);
  if (outcome.kind === 'refused') throw new ExpressionFault(`the pattern of matches: ${outcome.why}`);
  return binary('truth', of, first, (text) => outcome.regex.matches(String(text)));
}

/** Functions that stand before what they take. */
export function call(name: string, [of, more]: readonly Part[]): Part {
  if (of === undefined || more !== undefined) throw new ExpressionFault(`${name} takes one value`);
  switch (name) {
    case 'size':
      return size(of);
    case 'string':
      if (of.type === 'list' || of.type === 'headers') throw new ExpressionFault(`string takes no ${of.type}`);
      return binary('text', of, of, (value) => String(value));
    case 'int':
      if (of.type !== 'number' && of.type !== 'text') throw new ExpressionFault(`int takes no ${of.type}`);
      return { type: 'number', of: (facts) => wholeOf(of.of(facts)) };
    case 'duration': {
      const milliseconds = typeof of.literal === 'string' ? durationOf(of.literal) : null;
      if (milliseconds === null) throw new ExpressionFault('duration takes a text such as "1.5s" or "200ms"');
      return literal('time', milliseconds);
    }
    default:
      throw new ExpressionFault(`there is no function ${name}`, name);
  }
}

function size(of: Part): Part {
  if (of.type !== 'text' && of.type !== 'list') throw new ExpressionFault(`size takes no ${of.type}`);
  // Of a text, its characters, as CEL counts them.
  return binary('number', of, of, (value) => (Array.isArray(value) ? value.length : [...String(value)].length));
}

function wholeOf(value: Value | undefined): number | undefined {
  const number = typeof value === 'string' && !/^-?\d{1,15}$/.test(value) ? Number.NaN : Math.trunc(Number(value));
  return value === undefined || Number.isNaN(number) ? undefined : number;
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function durationOf(text: string): number | null {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) return null;
  return parts.reduce((total, [, count = '', unit = '']) => total + Number(count) * (UNITS_MS[unit] ?? 0), 0);
}

function binary(type: ValueType, a: Part, b: Part, act: Binary): Part {
  return {
    type,
    of: (facts) => {
      const first = a.of(facts);
      const second = first === undefined ? undefined : b.of(facts);
      return first === undefined || second === undefined ? undefined : act(first, second);
    },
  };
}

function same(a: Value, b: Value): boolean {
  return typeof a === 'object' || typeof b === 'object' ? JSON.stringify(a) === JSON.stringify(b) : a === b;
}

function want(part: Part, type: ValueType, by: string): void {
  if (part.type !== type) throw new ExpressionFault(`"${by}" takes a ${type}, and here it is a ${part.type}`);
}
