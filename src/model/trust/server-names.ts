import { tryParseIp } from '#model/address/ip.ts';

/** A name that a certificate has (subjectAltName), or should have. */
export type ServerName = { readonly kind: 'dns' | 'uri' | 'ip'; readonly value: string };

/**
 * Why a certificate with the names `presented` is not that of a server with one of the names `wanted`; null: it is. The common name of a
 * subject is no name of a server (RFC 6125 6.4.4, as every browser has it).
 */
export function whyNotServer(presented: readonly ServerName[], wanted: readonly ServerName[]): string | null {
  if (wanted.some((name) => presented.some((one) => isNamed(one, name)))) return null;
  return `its certificate is for ${listed(presented)}, and not for ${listed(wanted)}`;
}

/** An address is none of a host's names, nor the other way round. */
function isNamed(presented: ServerName, wanted: ServerName): boolean {
  if (presented.kind !== wanted.kind) return false;
  return presented.kind === 'dns' ? isDnsNamed(presented.value, wanted.value) : presented.value === wanted.value;
}

/** A star stands for the whole of the first label, and for one label (RFC 6125 6.4.3); never for a whole domain at the top. */
function isDnsNamed(presented: string, wanted: string): boolean {
  const [pattern, name] = [plain(presented), plain(wanted)];
  if (pattern === name) return true;
  if (!pattern.startsWith('*.') || name.startsWith('*.')) return false;
  const parent = pattern.slice(2);
  return parent.includes('.') && !parent.includes('*') && name.slice(name.indexOf('.') + 1) === parent && name.indexOf('.') > 0;
}

/** Case means nothing in names, nor does a dot at their end. */
function plain(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** How many names of a certificate are told. Fixed here: a line of a log is for people. */
const NAMES_TOLD = 5;

function listed(names: readonly ServerName[]): string {
  if (names.length === 0) return 'nobody';
  const more = names.length > NAMES_TOLD ? ` and ${names.length - NAMES_TOLD} more` : '';
  return (
    names
      .slice(0, NAMES_TOLD)
      .map(({ value }) => value)
      .join(', ') + more
  );
}

/** What kind of name a text is, where nobody says. */
export function serverNameOf(text: string): ServerName {
  if (text.includes('://')) return { kind: 'uri', value: text };
  return { kind: tryParseIp(text) === null ? 'dns' : 'ip', value: text };
}
