import { SHARED } from '#model/settings/control-planes.ts';

/**
 * Makes equal parts of plain data one: documents that were read by a thread, or from disk, have a copy each of labels, localities
 * and names that thousands of them share. What it has seen long ago it forgets.
 */
export class SharedValues {
  readonly #texts = new Generations<string>(SHARED.textsMax);
  readonly #leaves = new Generations<object>(SHARED.valuesMax);

  /**
   * Puts shared parts in the place of equal ones in all that lies below `value`, which is not changed otherwise and must be nobody
   * else's. Objects and lists that hold nothing but texts, numbers and the like become one; what holds those does not.
   */
  below(value: object): void {
    const fields = value as Record<string, unknown>;
    for (const key of Object.keys(fields)) {
      const before = fields[key];
      const after = typeof before === 'string' ? this.#text(before) : isObject(before) ? this.#object(before) : before;
      // Equal texts are one to every comparison: only putting it there makes it one in memory.
      if (typeof before === 'string' || after !== before) fields[key] = after;
    }
  }

  #text(text: string): string {
    return text.length > SHARED.textCharactersMax ? text : this.#texts.sameAs(text, text);
  }

  #object(value: object): object {
    const isLeaf = hasOnlyPlainFields(value);
    const known = isLeaf ? this.#leaves.get(JSON.stringify(value)) : undefined;
    if (known !== undefined) return known;
    this.below(value);
    return isLeaf ? this.#leaves.sameAs(JSON.stringify(value), value) : value;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Whether equal JSON means equal values: so it does not for undefined, NaN and -0, nor for objects with methods. */
function hasOnlyPlainFields(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype) return false;
  const fields = Object.values(value);
  return fields.length <= SHARED.fieldsMax && fields.every(isPlain);
}

function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return value.length <= SHARED.textCharactersMax;
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    default:
      return value === null;
  }
}

/** A map that forgets what was not asked for while `max` others came. */
class Generations<Value> {
  readonly #max: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.#remember(key, old);
    return old;
  }

  /** What is remembered under the key; `value` from now on where that is nothing. */
  sameAs(key: string, value: Value): Value {
    const known = this.get(key);
    if (known !== undefined) return known;
    this.#remember(key, value);
    return value;
  }

  #remember(key: string, value: Value): void {
    if (this.#young.size >= this.#max) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
