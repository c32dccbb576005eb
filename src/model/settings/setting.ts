/** What the number of a setting counts. */
export type Unit = 'ms' | 's' | 'bytes' | 'count' | 'characters' | 'per second' | 'percent' | 'TCP port' | 'UDP and TCP port';

/** One number that somebody chose: a bound, a time-out, a size or a port. */
export type Setting = { readonly value: number; readonly unit: Unit; readonly why: string };

/** Settings of one subject; `about` is the heading and the sentence under it in docs/settings.md. */
export type SettingGroup = {
  readonly about: { readonly title: string; readonly text: string };
  readonly rows: Readonly<Record<string, Setting>>;
};

/** One row of a table: what it is set to, in which unit, and why to that. */
export function setting(value: number, unit: Unit, why: string): Setting {
  return { value, unit, why };
}

/** The bare numbers of a table, for the code that obeys them; frozen, so that nothing sets one in passing. */
export function valuesOf<Rows extends Readonly<Record<string, Setting>>>(group: {
  readonly rows: Rows;
}): { readonly [Name in keyof Rows]: number } {
  const values: Record<string, number> = {};
  for (const [name, { value }] of Object.entries(group.rows)) values[name] = value;
  return Object.freeze(values) as { readonly [Name in keyof Rows]: number };
}
