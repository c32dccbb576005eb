/** A piece of an expression, and where it begins. */
export type Token =
  | { readonly kind: 'name' | 'text' | 'sign'; readonly text: string; readonly at: number }
  | { readonly kind: 'number'; readonly number: number; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number };

/** What is wrong with an expression, as a sentence. */
export class ExpressionFault extends Error {
  /** The name that nothing has, if that is what is wrong. */
  readonly unknown: string | null;

  constructor(why: string, unknown: string | null = null) {
    super(why);
    this.unknown = unknown;
  }
}

// Sticky, each from where the one before ended. Two signs before one: `<=` is not `<` and `=`.
const SPACE = /\s+/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /0x[0-9A-Fa-f]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const TEXT = /r?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')/y;
const SIGN = /&&|\|\||==|!=|<=|>=|[<>!?:.,+\-()[\]]/y;
const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '?': '?',
  '`': '`',
};

/** The pieces of an expression in the Common Expression Language, as far as it is offered here. Errors: ExpressionFault. */
export function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const [text = null] = pattern.exec(expression) ?? [];
    if (text !== null) at += text.length;
    return text;
  };
  while (at < expression.length) {
    if (take(SPACE) !== null) continue;
    const begin = at;
    // A raw text begins like a name.
    const text = take(TEXT);
    const number = text === null ? take(NUMBER) : null;
    const name = text === null && number === null ? take(NAME) : null;
    if (text !== null) tokens.push({ kind: 'text', text: unquoted(text), at: begin });
    else if (number !== null) tokens.push({ kind: 'number', number: Number(number), text: number, at: begin });
    else if (name !== null) tokens.push({ kind: 'name', text: name, at: begin });
    else {
      const sign = take(SIGN);
      if (sign === null)
        throw new ExpressionFault(`nothing begins with ${JSON.stringify(expression[at])} at character ${at + 1}`);
      tokens.push({ kind: 'sign', text: sign, at: begin });
    }
  }
  return [...tokens, { kind: 'end', text: '', at }];
}

function unquoted(quoted: string): string {
  if (quoted.startsWith('r')) return quoted.slice(2, -1);
  return quoted.slice(1, -1).replace(/\\(.)/g, (written, letter: string) => {
    const value = ESCAPES[letter];
    if (value === undefined) throw new ExpressionFault(`"${written}" stands for no character here`);
    return value;
  });
}
