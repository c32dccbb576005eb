import type { HeaderChanges } from '#model/waypoint/config.ts';

/** A header to set or add; the name in lower case. */
export type HeaderValue = { readonly name: string; readonly value: string };

/** Validated header changes, in the order to apply: set, add, remove; each sorted by name (docs/rules/waypoint.md). */
export type HeaderEdits = {
  readonly set: readonly HeaderValue[];
  readonly add: readonly HeaderValue[];
  readonly remove: readonly string[];
  /** A `host` that was set or added rewrites the authority; null leaves it. */
  readonly authority: string | null;
};

const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,256}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the point is to find them
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

/** These frame the message or belong to one hop: a route that changed them could smuggle a request. */
const FRAMING = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Compiles header changes; unusable entries are left out and reported through `problem`. */
export function compileHeaderEdits(changes: HeaderChanges | null, problem: (why: string) => void): HeaderEdits | null {
  if (changes === null) return null;
  const set = usable(changes.set, problem);
  const add = usable(changes.add, problem);
  const host = [...set, ...add].find((header) => header.name === 'host');
  return {
    set: set.filter((header) => header.name !== 'host').sort(byName),
    add: add.filter((header) => header.name !== 'host').sort(byName),
    remove: changes.remove.map((name) => name.toLowerCase()).filter((name) => name !== 'host' && mayChange(name, problem)),
    authority: host?.value ?? null,
  };
}

function usable(headers: readonly HeaderValue[], problem: (why: string) => void): HeaderValue[] {
  return headers
    .map(({ name, value }) => ({ name: name.toLowerCase(), value }))
    .filter(({ name, value }) => {
      if (!mayChange(name, problem)) return false;
      if (!BAD_VALUE.test(value)) return true;
      problem(`the value for header "${name}" holds a control character`);
      return false;
    });
}

/** Whether a header frames its message or belongs to one hop, or is the authority: nothing that a client says may become it. */
export function isFraming(name: string): boolean {
  return FRAMING.has(name.toLowerCase()) || name.toLowerCase() === 'host';
}

function mayChange(name: string, problem: (why: string) => void): boolean {
  if (NAME.test(name) && !FRAMING.has(name)) return true;
  problem(`header "${name}" cannot be changed by a route`);
  return false;
}

function byName(a: HeaderValue, b: HeaderValue): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
