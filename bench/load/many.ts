/** How many rules and how many policies the rows about many of them have; `limit`: more connections than any row makes. */
export const MANY = { rules: 100, limit: 100_000 } as const;

/** Paths that no request of the load asks for, one for each rule: '/r0', '/r1' and so on. */
export function manyPaths(word: string): string[] {
  return Array.from({ length: MANY.rules }, (_, at) => `/${word}${at}`);
}
