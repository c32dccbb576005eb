import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { isRecord } from '#control-plane/resources/stand-in.ts';

/** What is wrong in a text that is itself a field. `isError`: it cannot be used. */
export type TextProblem = { readonly message: string; readonly remedy: string; readonly isError: boolean };

/** Reads the fields of one object of a MeshConfig, and notes what is wrong with them, and which it does not know. */
export class FieldsReader {
  readonly problems: TextProblem[] = [];
  readonly #at: string;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #known: string[] = [];

  /** `at`: where it is, for the reader. */
  constructor(value: unknown, at: string) {
    this.#at = at;
    this.#fields = isRecord(value) ? value : {};
    if (!isRecord(value)) this.wrong('', 'it is no object', 'write its fields');
  }

  /** The value of a field that is there as a text of at least one character; '' where it is not. */
  text(name: string): string {
    const value = this.#take(name);
    if (value === undefined) return '';
    if (typeof value === 'string' && value !== '') return value;
    this.wrong(name, 'it is no text', 'write a text');
    return '';
  }

  /** Also written as a text, as Istio has some numbers. Null: not written, or wrong, which is told. */
  number(name: string, min: number, max: number): number | null {
    const value = this.#take(name);
    if (value === undefined) return null;
    const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max) return number;
    this.wrong(name, `${JSON.stringify(value)} is not a number from ${min} to ${max}`, `write one from ${min} to ${max}`);
    return null;
  }

  /** False where it is not written. */
  flag(name: string): boolean {
    const value = this.#take(name) ?? false;
    if (typeof value !== 'boolean') this.wrong(name, `${JSON.stringify(value)} is neither true nor false`, 'write true or false');
    return value === true;
  }

  /** Milliseconds, at least one; null: not written, or wrong, which is told. */
  durationMs(name: string): number | null {
    const value = this.#take(name);
    if (value === undefined) return null;
    const milliseconds = typeof value === 'string' ? goDurationMs(value) : null;
    if (milliseconds !== null && milliseconds >= 1) return Math.ceil(milliseconds);
    this.wrong(name, `${JSON.stringify(value)} is no duration of at least 1ms`, 'write one such as 5s or 250ms');
    return null;
  }

  /** Empty where it is not written. */
  texts(name: string): string[] {
    const value = this.#take(name) ?? [];
    if (Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== '')) return value;
    this.wrong(name, 'it is no list of texts', 'write a list of texts');
    return [];
  }

  /** In the order in which they are written; empty where they are not. */
  textsByName(name: string): [name: string, value: string][] {
    const value = this.#take(name) ?? {};
    const entries = isRecord(value) ? Object.entries(value) : [];
    const texts = entries.flatMap(([key, one]): [string, string][] => (typeof one === 'string' ? [[key, one]] : []));
    if (!isRecord(value) || texts.length < entries.length) this.wrong(name, 'it holds no texts by name', 'write name: value');
    return texts;
  }

  /** The fields of a field; null: it is not written. What is wrong with them is told here. */
  object<T>(name: string, read: (fields: FieldsReader) => T): T | null {
    const value = this.#take(name);
    if (value === undefined) return null;
    const inner = new FieldsReader(value, `${this.#at}.${name}`);
    const made = read(inner);
    inner.end();
    this.problems.push(...inner.problems);
    return made;
  }

  /** Known, and of no effect. */
  ignore(name: string, why: string): void {
    const value = this.#take(name);
    if (value !== undefined && value !== false)
      this.problems.push({ message: `${this.#at}.${name}: ${why}`, remedy: `remove ${name}`, isError: false });
  }

  /** Tells that a field (or with '' the object) cannot be used. */
  wrong(name: string, why: string, remedy: string): void {
    this.problems.push({ message: `${[this.#at, name].filter((part) => part !== '').join('.')}: ${why}`, remedy, isError: true });
  }

  /** After all were read: any other is not known. */
  end(): void {
    for (const name of Object.keys(this.#fields)) {
      if (this.#known.includes(name)) continue;
      const message = `${this.#at}.${name}: there is no such field${didYouMean(name, this.#known)}`;
      this.problems.push({ message, remedy: `remove ${name}`, isError: true });
    }
  }

  /** Whatever is asked for is known; null counts as not written, as in YAML a field without a value is. */
  #take(name: string): unknown {
    this.#known.push(name);
    return this.#fields[name] ?? undefined;
  }
}
