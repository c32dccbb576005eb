/**
 * The library for YAML, for `await import('./yaml.ts')`: what most commands never read or write is loaded by those that do. Of the package
 * itself, which is of the older module format, a bundle would give such an import its default export alone.
 */
export { parse, parseAllDocuments, stringify } from 'yaml';
