/** A moment, in milliseconds since 1970, as text. */
export type TimeText = (ms: number) => string;

/** How moments are shown, or at which of its characters a format cannot be understood, counted from 0. */
export type TimeFormat = { readonly kind: 'compiled'; readonly of: TimeText } | { readonly kind: 'refused'; readonly at: number };

const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
/** Of an English name. */
const SHORT_CHARS = 3;
/** Fixed by UTC, whose leap seconds these clocks do not show. */
const DAY_MS = 86_400_000;

/** What strftime(3) knows and Envoy shows, always in UTC. */
const CONVERSIONS: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => digits(date.getUTCFullYear() % 100),
  m: (date) => digits(date.getUTCMonth() + 1),
  d: (date) => digits(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  j: (date) => digits(Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0)) / DAY_MS) + 1, 3),
  H: (date) => digits(date.getUTCHours()),
  M: (date) => digits(date.getUTCMinutes()),
  S: (date) => digits(date.getUTCSeconds()),
  F: (date) => date.toISOString().slice(0, 'YYYY-MM-DD'.length),
  T: (date) => date.toISOString().slice('YYYY-MM-DDT'.length, 'YYYY-MM-DDTHH:MM:SS'.length),
  A: (date) => DAYS[date.getUTCDay()] ?? '',
  a: (date) => (DAYS[date.getUTCDay()] ?? '').slice(0, SHORT_CHARS),
  B: (date) => MONTHS[date.getUTCMonth()] ?? '',
  b: (date) => (MONTHS[date.getUTCMonth()] ?? '').slice(0, SHORT_CHARS),
  s: (date) => String(Math.floor(date.getTime() / 1_000)),
  z: () => '+0000',
  Z: () => 'UTC',
  '%': () => '%',
};

/** A conversion: of Envoy's own, `%3f` is a fraction of a second in so many digits, and `%E3S` seconds with theirs. */
const CONVERSION = /%(?:E([1-9])S|([1-9]?)f|([A-Za-z%]))/y;
/** Fixed by Envoy: it counts in nanoseconds. */
const FRACTION_DIGITS = 9;

/** Reads a format in the words of strftime(3); '' is ISO 8601 with milliseconds. */
export function compileTimeFormat(format: string): TimeFormat {
  if (format === '') return { kind: 'compiled', of: (ms) => new Date(ms).toISOString() };
  const parts: (string | ((date: Date) => string))[] = [];
  for (let at = 0; at < format.length; ) {
    if (format[at] !== '%') {
      const next = format.indexOf('%', at);
      const end = next < 0 ? format.length : next;
      parts.push(format.slice(at, end));
      at = end;
      continue;
    }
    CONVERSION.lastIndex = at;
    const found = CONVERSION.exec(format);
    const part = found === null ? undefined : conversion(found);
    if (part === undefined) return { kind: 'refused', at };
    parts.push(part);
    at = CONVERSION.lastIndex;
  }
  return {
    kind: 'compiled',
    of: (ms) => {
      const date = new Date(ms);
      return parts.map((part) => (typeof part === 'string' ? part : part(date))).join('');
    },
  };
}

function conversion([, ofSeconds, ofFraction, name]: RegExpExecArray): ((date: Date) => string) | undefined {
  if (ofSeconds !== undefined) return (date) => `${digits(date.getUTCSeconds())}.${fraction(date, Number(ofSeconds))}`;
  if (name !== undefined) return CONVERSIONS[name];
  const count = Number(ofFraction) || FRACTION_DIGITS;
  return (date) => fraction(date, count);
}

function fraction(date: Date, count: number): string {
  return digits(date.getUTCMilliseconds(), 3).padEnd(FRACTION_DIGITS, '0').slice(0, count);
}

function digits(value: number, count = 2): string {
  return String(value).padStart(count, '0');
}
