/** The part of an OpenAPI v3 schema that Weft's own code looks at; the rest is the validator's business. */
export type Schema = {
  type?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  items?: Schema;
  /** Schema of every field that `properties` does not name; true: anything. */
  additionalProperties?: Schema | boolean;
  enum?: readonly unknown[];
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  default?: unknown;
  nullable?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
};

/** A name that may be part of a hostname: lower case, digits, `-` and `.`. */
export const SUBDOMAIN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';

/** One part of a hostname. */
export const DNS_LABEL = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';

/** Value of a label; may be empty. */
export const LABEL_VALUE = '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$';

/** Any text. */
export const TEXT: Schema = { type: 'string' };
/** true or false. */
export const FLAG: Schema = { type: 'boolean' };
/** A port number. */
export const PORT: Schema = { type: 'integer', minimum: 1, maximum: 65_535 };
/** Known, and of no interest. */
export const ANYTHING: Schema = {};
/** Texts by name. */
export const TEXTS: Schema = { type: 'object', additionalProperties: TEXT, nullable: true };
/** Label values by key. */
export const LABELS: Schema = {
  type: 'object',
  additionalProperties: { type: 'string', maxLength: 63, pattern: LABEL_VALUE },
  nullable: true,
};

/** A list of one kind of item. */
export function list(items: Schema): Schema {
  return { type: 'array', items };
}

/** Fields that exist and are of no interest. */
export function fields(names: string): Record<string, Schema> {
  return Object.fromEntries(names.split(/\s+/).map((name) => [name, ANYTHING]));
}

/** metadata of every kind. Source: Kubernetes ObjectMeta. */
export const METADATA_SCHEMA: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 253, pattern: SUBDOMAIN },
    namespace: { type: 'string', maxLength: 63, pattern: `^$|${DNS_LABEL}`, nullable: true },
    labels: LABELS,
    annotations: TEXTS,
    creationTimestamp: { type: 'string', format: 'date-time', nullable: true },
    deletionTimestamp: { type: 'string', format: 'date-time', nullable: true },
    ownerReferences: list({
      type: 'object',
      required: ['kind', 'name'],
      properties: { kind: TEXT, name: TEXT, controller: FLAG, ...fields('apiVersion uid blockOwnerDeletion') },
    }),
    ...fields('generateName uid resourceVersion generation selfLink finalizers managedFields deletionGracePeriodSeconds'),
  },
};
