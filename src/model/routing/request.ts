/** What a route can see of a request. */
export type RouteRequest = {
  readonly method: string;
  /** Normalized path without query. */
  readonly path: string;
  /** What follows `?`, undecoded; '' when there is none. */
  readonly query: string;
  /** Every value of the header, in order; `name` in lower case. */
  headerValues(name: string): readonly string[];
};

/** The value of the first parameter called `name`, undecoded (as Envoy compares it); null when there is none. */
export function firstQueryParam(query: string, name: string): string | null {
  let start = 0;
  while (start <= query.length && query !== '') {
    const next = query.indexOf('&', start);
    const end = next < 0 ? query.length : next;
    const equals = query.indexOf('=', start);
    const nameEnd = equals < 0 || equals > end ? end : equals;
    if (nameEnd - start === name.length && query.startsWith(name, start))
      return nameEnd === end ? '' : query.slice(nameEnd + 1, end);
    start = end + 1;
  }
  return null;
}
