import { GONE, redact } from './redact.ts';

/** Fields of pods and the like in which people write what is nobody's business, whatever it is called there. */
const PRIVATE_FIELDS: ReadonlySet<string> = new Set(['env', 'envFrom', 'args', 'command', 'stringData', 'binaryData']);
/** Kinds whose `data` is anything at all. */
const PRIVATE_KINDS: ReadonlySet<string> = new Set(['Secret', 'ConfigMap']);
/** Names of fields that say that their value is secret. A selector of a token, such as `fromHeaders`, is none. */
const SECRET_NAME =
  /(passw(or)?d|passphrase|secret|api[_-]?key|private[_-]?key|credential|authorization)|(^|[a-z_.-])token$|^cookie$/i;
/** Holds the whole resource once more, as text. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * A resource as it was read, without what is nobody's business: data of Secrets and ConfigMaps, variables and arguments of
 * containers, and every field whose name says that it is secret. What is left is redacted as text is.
 */
export function redactResource(value: unknown): unknown {
  const kind = fieldsOf(value)?.kind;
  return withoutPrivate(value, typeof kind === 'string' && PRIVATE_KINDS.has(kind));
}

function withoutPrivate(value: unknown, hasData: boolean): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map((item) => redactResource(item));
  const fields = fieldsOf(value);
  if (fields === null) return value;
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, isPrivate(name, hasData) ? GONE : redactResource(field)]),
  );
}

function isPrivate(name: string, hasData: boolean): boolean {
  return PRIVATE_FIELDS.has(name) || name === LAST_APPLIED || (hasData && name === 'data') || SECRET_NAME.test(name);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}
