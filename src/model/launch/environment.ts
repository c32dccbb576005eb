/** A variable for a command; `value` null: as the environment of the caller has it. */
export type Variable = { readonly name: string; readonly value: string | null };

/** Reads `NAME=VALUE` or `NAME`; null when it is neither. */
export function readVariable(text: string): Variable | null {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  if (name === '' || /[\s\0]/.test(name) || text.includes('\0')) return null;
  return { name, value: at < 0 ? null : text.slice(at + 1) };
}

/**
 * Reads a file of variables as container tools do: one a line, as they stand; lines that are empty or begin with `#` count for
 * nothing. `badLine`: the first that is none, counted from 1.
 */
export function readVariables(text: string): { variables: readonly Variable[] } | { badLine: number } {
  const variables: Variable[] = [];
  for (const [at, whole] of text.split('\n').entries()) {
    const line = whole.replace(/\r$/, '').trimStart();
    if (line === '' || line.startsWith('#')) continue;
    const variable = readVariable(line);
    if (variable === null) return { badLine: at + 1 };
    variables.push(variable);
  }
  return { variables };
}

/**
 * The variables that a command gets beside those it inherits; a later one wins. `missing`: those that the caller's environment was
 * to give, and has not.
 */
export function chosenVariables(
  wanted: readonly Variable[],
  environment: Readonly<Record<string, string | undefined>>,
): { set: Readonly<Record<string, string>>; missing: readonly string[] } {
  const set: Record<string, string> = {};
  const missing: string[] = [];
  for (const { name, value } of wanted) {
    const found = value ?? environment[name];
    if (found === undefined) missing.push(name);
    else set[name] = found;
  }
  return { set, missing };
}
