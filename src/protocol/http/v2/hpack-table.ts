/** One header field: name in lower case, and value. */
export type Header = readonly [name: string, value: string];

/** RFC 7541 appendix A, `name` or `name: value` per line; the first entry has index 1. */
const STATIC_TEXT = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

function parseEntry(line: string): Header {
  const space = line.indexOf(' ');
  return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
}

/** The fields that every peer knows; HPACK counts them from 1. */
export const STATIC_TABLE: readonly Header[] = STATIC_TEXT.split('\n').map(parseEntry);

/** What a field adds to a table or to a header list (RFC 7541 section 4.1). */
export function fieldBytes(name: string, value: string): number {
  return name.length + value.length + 32;
}

/** The decoder's dynamic table: newest entry first, bounded in bytes. */
export class DynamicTable {
  #entries: Header[] = [];
  #bytes = 0;
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The entry at HPACK index `index` (static entries first), or null. */
  at(index: number): Header | null {
    if (index <= STATIC_TABLE.length) return STATIC_TABLE[index - 1] ?? null;
    return this.#entries[index - STATIC_TABLE.length - 1] ?? null;
  }

  /** Adds an entry; one that is larger than the table empties it instead. */
  add(header: Header): void {
    this.#entries.unshift(header);
    this.#bytes += fieldBytes(...header);
    this.#evict();
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict();
  }

  #evict(): void {
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.#entries.pop();
      if (oldest === undefined) break;
      this.#bytes -= fieldBytes(...oldest);
    }
  }
}
