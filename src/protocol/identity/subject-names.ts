/** A name of a subjectAltName; null: its value holds what had to be escaped (NUL, commas, quotes, …). */
export type SubjectName = { readonly type: string; readonly value: string | null };

/** One name in text form. Quotes mark a value with characters that do not belong there. */
const NAME = /([A-Za-z][A-Za-z ]*):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?:, |$)/y;

/** The names of a certificate, from the text form of its subjectAltName extension (as X509Certificate gives it). Null when any is malformed. */
export function subjectNames(subjectAltName: string): SubjectName[] | null {
  const names: SubjectName[] = [];
  let at = 0;
  while (at < subjectAltName.length) {
    NAME.lastIndex = at;
    const match = NAME.exec(subjectAltName);
    if (match === null) return null;
    const [whole, type = '', quoted, value] = match;
    names.push({ type, value: quoted === undefined ? (value ?? null) : null });
    at += whole.length;
  }
  return names;
}
