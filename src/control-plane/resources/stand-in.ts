import { DEFAULT_NAMESPACE, type Labels, type Metadata } from '#control-plane/resources/metadata.ts';
import type { Resource } from '#control-plane/resources/resource.ts';

/**
 * What is put in force in place of a document that restricts something and cannot be used, where no earlier version is known:
 * it refuses all that the document could have refused. Without it a mistake in a restriction would lift it.
 */
export type StandIn = {
  resource: Resource;
  /** What it does and where, as the end of a finding's sentence. */
  effect: string;
};

/** Whether a value of an unchecked document is an object with fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The field of something that may be no object at all. */
export function fieldOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

/** What can be read of the metadata of a rejected document; `name` is given, since it may be missing there. */
export function readableMetadata(document: unknown, name: string): Metadata {
  const metadata = fieldOf(document, 'metadata');
  const namespace = fieldOf(metadata, 'namespace');
  return {
    name,
    // YAML makes numbers and truth values of some names.
    namespace: isWord(namespace) ? String(namespace) : DEFAULT_NAMESPACE,
    labels: readableLabels(fieldOf(metadata, 'labels')),
    annotations: readableLabels(fieldOf(metadata, 'annotations')),
    createdAtMs: null,
    deleting: false,
  };
}

/**
 * The labels a rejected document selects by; null: its whole scope. A label that cannot be read, or that nothing can carry, is
 * left out, which selects more: a restriction may grow by a mistake, and not shrink.
 */
export function readableSelector(document: unknown): Labels | null {
  const labels = readableLabels(fieldOf(fieldOf(fieldOf(document, 'spec'), 'selector'), 'matchLabels'));
  const usable = Object.entries(labels).filter(([key, value]) => key !== '' && !`${key}${value}`.includes('*'));
  return usable.length === 0 ? null : Object.fromEntries(usable);
}

/** A scope in words: `the workloads with app=cart of namespace shop`; `rootNamespace` speaks for the mesh. */
export function scopeInWords(namespace: string, selector: Labels | null): string {
  if (selector === null) return `all workloads of namespace ${namespace} (of the mesh, if that is the root namespace)`;
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return `the workloads with ${labels.join(', ')} of namespace ${namespace}`;
}

function readableLabels(value: unknown): Labels {
  const entries = isRecord(value) ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter(([, one]) => isWord(one)).map(([key, one]) => [key, String(one)]));
}

function isWord(value: unknown): value is string | number | boolean {
  return (typeof value === 'string' && value !== '') || typeof value === 'number' || typeof value === 'boolean';
}
