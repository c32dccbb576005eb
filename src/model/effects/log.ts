/** Structured log: fields first, sentence second. Never receives secrets. A field may be a `SharedFields`. */
export type Log = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
};

/** Keeps nothing. */
export const SILENT_LOG: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child() {
    return SILENT_LOG;
  },
};

/**
 * Fields that many lines share, such as those of one endpoint. As the value of a field it stands for its own fields, in its
 * place. A log keeps the text of them here: `style` made `text`.
 */
export class SharedFields {
  readonly fields: object;
  style: object | null = null;
  text: Uint8Array | null = null;

  constructor(fields: object) {
    this.fields = fields;
  }
}

/** The fields of a line one by one, those that are shared included. */
export function fieldsOneByOne(fields: object): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof SharedFields) Object.assign(all, fieldsOneByOne(value.fields));
    else all[name] = value;
  }
  return all;
}

/** For `child`: a log of which nothing but the field `line` is written, with nothing around it. Who makes that text sees to its form. */
export const WHOLE_LINES = {};
