import { parseAllDocuments, stringify } from 'yaml';

// Imported by whoever writes or reads YAML, at that moment: an agent reads the options of commands, too, and needs none of it.

/** A value as YAML, its last line ended. */
export function yamlText(value: unknown): string {
  return stringify(value);
}

/** The documents of a text in YAML or JSON; null when one of them is malformed. */
export function yamlDocuments(text: string): unknown[] | null {
  const documents = parseAllDocuments(text);
  if ('empty' in documents) return [];
  return documents.some(({ errors }) => errors.length > 0) ? null : documents.map((document) => document.toJS());
}
