import { parse, parseAllDocuments, stringify } from 'yaml';

// For `await import('./yaml.ts')`: what most commands never read or write is loaded by those that do. Of the package itself, which is of
// the older module format, a bundle would give such an import its default export alone.

/** A value as YAML, its last line ended. */
export function yamlText(value: unknown): string {
  return stringify(value);
}

/** The value of one document without aliases. Errors: of the parser, with line and column, when it is malformed. */
export function yamlValue(text: string): unknown {
  return parse(text, { maxAliasCount: 0 });
}

/** The documents of a text in YAML or JSON; null when one of them is malformed. */
export function yamlDocuments(text: string): unknown[] | null {
  const documents = parseAllDocuments(text);
  if ('empty' in documents) return [];
  return documents.some(({ errors }) => errors.length > 0) ? null : documents.map((document) => document.toJS());
}
