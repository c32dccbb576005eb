import type { PathModifier } from '#model/waypoint/filters.ts';

/** A path modifier with the prefix that its rule matches. */
export type PathRewrite = { readonly from: string | null; readonly to: string };

/** `prefix`: of the only match of the rule; null when it has none, and a prefix modifier then replaces nothing. */
export function compilePathRewrite(modifier: PathModifier | null, prefix: string | null): PathRewrite | null {
  if (modifier === null) return null;
  const value = encoded(modifier.value);
  if (modifier.kind === 'text') return { from: modifier.from, to: value };
  if (modifier.kind === 'full') return { from: null, to: value.startsWith('/') ? value : `/${value}` };
  return prefix === null ? null : { from: withoutTrailingSlashes(prefix), to: withoutTrailingSlashes(value) };
}

/** The path in place of `path`, which matches the rule; always absolute (the table of config-api 1.8). */
export function rewritePath(path: string, { from, to }: PathRewrite): string {
  if (from === null) return to;
  // What follows a prefix of the Gateway API begins with a slash, or is nothing: those match whole elements.
  const rewritten = to + path.slice(from.length);
  return rewritten.startsWith('/') ? rewritten : `/${rewritten}`;
}

/** It goes into a request line and a header: what would end them, or begin a query, is an octet of the path here. */
function encoded(value: string): string {
  return value.replace(/[^\x21-\x7e]|[?#]/gu, encodeURIComponent);
}

function withoutTrailingSlashes(path: string): string {
  return path.replace(/\/+$/, '');
}
