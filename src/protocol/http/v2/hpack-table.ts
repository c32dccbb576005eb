import { type Field, fieldBytes, fieldOf } from './field.ts';

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

function parseEntry(line: string): Field {
  const space = line.indexOf(' ');
  return space < 0 ? fieldOf(line, '', false) : fieldOf(line.slice(0, space), line.slice(space + 1), false);
}

/** The fields that every peer knows; HPACK counts them from 1. */
export const STATIC_TABLE: readonly Field[] = STATIC_TEXT.split('\n').map(parseEntry);
/** How many there are. Fixed by RFC 7541. */
export const STATIC_FIELDS = STATIC_TABLE.length;

/** The decoder's dynamic table: newest entry first, bounded in bytes. A ring, so that adding moves nothing. */
export class DynamicTable {
  #ring: (Field | undefined)[] = new Array(16);
  /** Where the newest lies, and how many there are. */
  #newest = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The entry at HPACK index `index` (static entries first), or null. */
  at(index: number): Field | null {
    if (index <= STATIC_FIELDS) return STATIC_TABLE[index - 1] ?? null;
    const age = index - STATIC_FIELDS - 1;
    if (age >= this.#count) return null;
    return this.#ring[(this.#newest - age) & (this.#ring.length - 1)] ?? null;
  }

  /** Adds an entry; one that is larger than the table empties it instead. */
  add(field: Field): void {
    this.#evict(this.#bytesMax - fieldBytes(field[0], field[1]));
    if (fieldBytes(field[0], field[1]) > this.#bytesMax) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#bytes += fieldBytes(field[0], field[1]);
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesMax: number): void {
    while (this.#count > 0 && this.#bytes > bytesMax) {
      const place = (this.#newest - this.#count + 1) & (this.#ring.length - 1);
      const oldest = this.#ring[place];
      this.#ring[place] = undefined;
      this.#count--;
      if (oldest !== undefined) this.#bytes -= fieldBytes(oldest[0], oldest[1]);
    }
  }

  #grow(): void {
    const larger: (Field | undefined)[] = new Array(this.#ring.length * 2);
    for (let age = 0; age < this.#count; age++) {
      larger[this.#count - 1 - age] = this.#ring[(this.#newest - age) & (this.#ring.length - 1)];
    }
    this.#ring = larger;
    this.#newest = this.#count - 1;
  }
}
