/** `a.b` for claim b within claim a; names that have dots of their own stand in brackets, as in `[https://example.com/team][name]`. Null: neither. */
export function claimPath(text: string): string[] | null {
  const isBracketed = text.startsWith('[');
  if (isBracketed && !/^(\[[^[\]]+\])+$/.test(text)) return null;
  const names = isBracketed ? text.slice(1, -1).split('][') : text.split('.');
  return names.every((name) => name !== '') ? names : null;
}

const ROUTED = '@request.auth.claims';

/** What stands in the place of a header's name in a VirtualService: the claim that is meant; null: none in particular, undefined: it is a header. */
export function routedClaim(name: string): string[] | null | undefined {
  if (!name.startsWith(ROUTED)) return undefined;
  const rest = name.slice(ROUTED.length);
  return rest.startsWith('.') || rest.startsWith('[') ? claimPath(rest.replace(/^\./, '')) : null;
}
