/** Compares one text with one policy string. */
export type TextTest = (text: string) => boolean;

/** `abc` exact, `abc*` prefix, `*abc` suffix, `*` any non-empty text; a `*` elsewhere is literal (config-api 3.3). */
export function compileForm(form: string): TextTest {
  if (form === '*') return (text) => text !== '';
  if (form.startsWith('*')) return (text) => text.endsWith(form.slice(1));
  if (form.endsWith('*')) return (text) => text.startsWith(form.slice(0, -1));
  return (text) => text === form;
}

/** As compileForm, but ASCII case does not matter (hosts). */
export function compileFormIgnoringCase(form: string): TextTest {
  const test = compileForm(form.toLowerCase());
  return (text) => test(text.toLowerCase());
}

/** A form in which `*` may stand anywhere (namespaces). Time is linear in the text per `*`. */
export function compileGlob(form: string): TextTest {
  const parts = form.split('*');
  const [first = ''] = parts;
  if (parts.length === 1) return (text) => text === form;
  const last = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= text.length - last.length && text !== '';
  };
}
