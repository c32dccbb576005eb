import { TELEMETRY } from '#model/settings/telemetry.ts';
import { ATTRIBUTES, type AttributeName, type Facts, type Value, type ValueType } from './attributes.ts';
import { both, call, choice, comparison, isComparison, literal, method, type Part, sum, unary } from './operators.ts';
import { ExpressionFault, type Token, tokensOf } from './tokens.ts';

/** An expression that can be evaluated: undefined where something that it needs is not there. */
export type Expression = { readonly type: ValueType; of(facts: Facts): Value | undefined };

/** `unknown`: the name that nothing has, to suggest another. */
export type ExpressionOutcome =
  | { readonly kind: 'compiled'; readonly expression: Expression }
  | { readonly kind: 'refused'; readonly why: string; readonly unknown: string | null };

/**
 * Compiles an expression of the Common Expression Language: of it what is of use for a filter or a tag, with Envoy's attributes. What
 * is not offered is refused and never means something else. Types are checked, so that nothing fails later but what is not there.
 */
export function compileExpression(text: string): ExpressionOutcome {
  try {
    if (text.length > TELEMETRY.expressionCharsMax)
      throw new ExpressionFault(`it is longer than ${TELEMETRY.expressionCharsMax} characters`);
    const { type, of } = new Reader(tokensOf(text)).whole();
    return { kind: 'compiled', expression: { type, of } };
  } catch (error) {
    // Only what is wrong with the text is an answer; a mistake of ours is none.
    if (!(error instanceof ExpressionFault)) throw error;
    return { kind: 'refused', why: error.message, unknown: error.unknown };
  }
}

/** As compileExpression, for what has to be true or false. */
export function compileFilter(text: string): ExpressionOutcome {
  const outcome = compileExpression(text);
  if (outcome.kind === 'refused' || outcome.expression.type === 'truth') return outcome;
  return { kind: 'refused', why: `it is a ${outcome.expression.type}, neither true nor false`, unknown: null };
}

/** As compileExpression, for what is shown as a text. */
export function compileText(text: string): ExpressionOutcome {
  const outcome = compileExpression(text);
  if (outcome.kind === 'refused' || !['list', 'headers'].includes(outcome.expression.type)) return outcome;
  return { kind: 'refused', why: `it is a ${outcome.expression.type}, no single value`, unknown: null };
}

/** Reads an expression from left to right, each operator by how tight it binds (CEL's grammar). */
class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Part {
    const part = this.#choice();
    if (this.#token.kind !== 'end') throw this.#unexpected();
    return part;
  }

  get #token(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '', at: 0 };
  }

  #choice(): Part {
    // Each nesting passes here: without a bound a text of brackets would exhaust the stack.
    if (++this.#depth > TELEMETRY.expressionDepthMax)
      throw new ExpressionFault(`it is nested deeper than ${TELEMETRY.expressionDepthMax}`);
    const condition = this.#or();
    if (!this.#took('?')) {
      this.#depth--;
      return condition;
    }
    const yes = this.#choice();
    this.#need(':');
    const part = choice(condition, yes, this.#choice());
    this.#depth--;
    return part;
  }

  #or(): Part {
    let part = this.#and();
    while (this.#took('||')) part = both(part, this.#and(), true);
    return part;
  }

  #and(): Part {
    let part = this.#relation();
    while (this.#took('&&')) part = both(part, this.#relation(), false);
    return part;
  }

  #relation(): Part {
    let part = this.#sum();
    while (this.#token.kind !== 'text' && isComparison(this.#token.text)) {
      const { text } = this.#next();
      part = comparison(text, part, this.#sum());
    }
    return part;
  }

  #sum(): Part {
    let part = this.#unary();
    while (this.#isSign('+') || this.#isSign('-')) part = sum(this.#next().text, part, this.#unary());
    return part;
  }

  #unary(): Part {
    const signs: string[] = [];
    while (this.#isSign('!') || this.#isSign('-')) signs.push(this.#next().text);
    if (signs.length > TELEMETRY.expressionDepthMax) throw new ExpressionFault('it has too many signs in a row');
    return signs.reduceRight((part, sign) => unary(sign, part), this.#member());
  }

  #member(): Part {
    let part = this.#primary();
    while (this.#took('.')) {
      const name = this.#name();
      if (!this.#isSign('(')) throw new ExpressionFault(`a ${part.type} has no field ${name}`, name);
      part = method(name, part, this.#args('(', ')'));
    }
    return part;
  }

  #primary(): Part {
    const token = this.#next();
    if (token.kind === 'number') return literal('number', token.number);
    if (token.kind === 'text') return literal('text', token.text);
    if (token.kind === 'name') return this.#named(token.text);
    if (token.text === '(') {
      const part = this.#choice();
      this.#need(')');
      return part;
    }
    if (token.text === '[') {
      this.#at--;
      return this.#list();
    }
    this.#at--;
    throw this.#unexpected();
  }

  #list(): Part {
    const parts = this.#args('[', ']');
    const values = parts.flatMap(({ literal: value }) => value ?? []);
    if (values.length !== parts.length || parts.some(({ type }) => type !== parts[0]?.type))
      throw new ExpressionFault('a list holds written values of one type');
    return literal('list', values);
  }

  #named(name: string): Part {
    if (name === 'true' || name === 'false') return literal('truth', name === 'true');
    if (name === 'has' && this.#isSign('(')) return this.#has();
    if (this.#isSign('(')) return call(name, this.#args('(', ')'));
    return this.#attribute(name);
  }

  /** Whether an attribute, or a header, is there. */
  #has(): Part {
    this.#need('(');
    const attribute = this.#attribute(this.#name());
    this.#need(')');
    return { type: 'truth', of: (facts) => attribute.of(facts) !== undefined };
  }

  #attribute(group: string): Part {
    if (!this.#took('.')) throw new ExpressionFault(`there is no attribute ${group}`, group);
    const name = `${group}.${this.#name()}`;
    if (!isAttribute(name)) throw new ExpressionFault(`there is no attribute ${name} here`, name);
    const type = ATTRIBUTES[name];
    if (type === 'headers') return this.#header(name);
    return { type, of: (facts) => facts.attribute(name) };
  }

  /** By its name in brackets or, as a field, after a point; all of them only to look whether one is there. */
  #header(name: AttributeName): Part {
    if (this.#took('.')) return headerPart(this.#name());
    if (!this.#took('[')) return { type: 'headers', of: (facts) => facts.attribute(name) };
    const token = this.#next();
    if (token.kind !== 'text') throw new ExpressionFault('the name of a header is written as a text');
    this.#need(']');
    return headerPart(token.text);
  }

  #args(open: string, close: string): Part[] {
    this.#need(open);
    const parts: Part[] = [];
    while (!this.#isSign(close)) {
      parts.push(this.#choice());
      if (!this.#took(',')) break;
    }
    this.#need(close);
    return parts;
  }

  #name(): string {
    const token = this.#next();
    if (token.kind === 'name') return token.text;
    this.#at--;
    throw this.#unexpected();
  }

  #next(): Token {
    const token = this.#token;
    this.#at++;
    return token;
  }

  #isSign(sign: string): boolean {
    return this.#token.kind === 'sign' && this.#token.text === sign;
  }

  #took(sign: string): boolean {
    if (!this.#isSign(sign)) return false;
    this.#at++;
    return true;
  }

  #need(sign: string): void {
    if (!this.#took(sign)) throw this.#unexpected(`, where ${sign} was to come`);
  }

  #unexpected(more = ''): ExpressionFault {
    const { kind, text, at } = this.#token;
    return new ExpressionFault(
      kind === 'end' ? `it ends too early${more}` : `"${text}" at character ${at + 1} is not expected${more}`,
    );
  }
}

function isAttribute(name: string): name is AttributeName {
  return Object.hasOwn(ATTRIBUTES, name);
}

function headerPart(name: string): Part {
  const lower = name.toLowerCase();
  return { type: 'text', of: (facts) => facts.header(lower) };
}
