import { compilePathRewrite, type PathRewrite } from '#model/routing/path-rewrite.ts';
import type { HttpRewrite } from '#model/waypoint/filters.ts';

/** A rewrite, ready to apply; null parts stay. */
export type Rewrite = { readonly hostname: string | null; readonly path: PathRewrite | null };

/** `prefix`: what the only match of the rule matches; null when it has no such match. */
export function compileRewrite({ hostname, path }: HttpRewrite, prefix: string | null): Rewrite {
  return { hostname, path: compilePathRewrite(path, prefix) };
}
