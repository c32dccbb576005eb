import type { Labels } from '#control-plane/resources/metadata.ts';

/** Labels of an entry, or a selector, with the namespace in which they count. */
export type Labelled = { namespace: string; labels: Labels };

/** How entries of a table are found other than by their key. */
export type Lookups<Value, Way extends string> = {
  /** Way → the words by which an entry is found that way: its namespace, say, or each of its addresses. */
  by?: Readonly<Record<Way, (value: Value, key: string) => readonly string[]>>;
  /** Entries that have labels, so that a selector picks them. */
  labels?: (value: Value) => Labelled;
  /** Entries that pick others by labels; null picks nothing. */
  selector?: (value: Value) => Labelled | null;
};

declare const valueType: unique symbol;

/**
 * Names a set of entries that derivations read and write; the entries themselves live in the engine. The name is part of
 * the type, so that a derivation can say which tables it reads and the compiler holds it to that.
 */
export type Table<Value, Name extends string = string, Way extends string = string> = {
  readonly name: Name;
  readonly lookups: Lookups<Value, Way>;
  /** Only for the compiler, which reads the type of the values from it. */
  readonly [valueType]?: (value: Value) => void;
};

/** A table of whatever values. */
export type AnyTable = Table<never>;

/** What a table holds. */
export type ValueOf<T> = T extends Table<infer Value, string, never> ? Value : never;

/** The ways in which entries of a table are found. */
export type WayOf<T> = T extends Table<never, string, infer Way> ? Way : never;

/** Declares a table of `Value`: `tableOf<Pod>()('pods', { by: … })`. Two calls, because only the second one is inferred. */
export function tableOf<Value>() {
  return <Name extends string, Way extends string = never>(
    name: Name,
    lookups: Lookups<Value, Way> = {},
  ): Table<Value, Name, Way> => Object.freeze({ name, lookups });
}

/** Something that a derivation says. Of several that say something under one key the lowest rank counts, then the lowest key. */
export type Entry<T extends AnyTable = AnyTable> = { table: T; key: string; value: unknown; rank: number };

/** An entry of `table`. */
export function entry<T extends AnyTable>(table: T, key: string, value: ValueOf<T>, rank = 0): Entry<T> {
  return { table, key, value, rank };
}

/** The namespace in `<namespace>/<name>`. */
export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

/** The name in `<namespace>/<name>`. */
export function localNameOf(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}
