import { WeftError } from '#model/error.ts';
import { refusalOf, systemError } from '#model/system-error.ts';

/**
 * What a person sees of an error, ending in a newline: the sentence with its code, the cause, the remedy.
 * So it is told what the operating system refused. Anything else is our own mistake: one line, and the stack only with `debug`.
 */
export function describeError(error: unknown, debug: boolean): string {
  const expected = error instanceof WeftError ? error : systemError(error);
  const lines = expected === null ? describeUnexpected(error, debug) : describeExpected(expected);
  if (debug && error instanceof Error) lines.push(error.stack ?? '', ...stacksOfCauses(error));
  return `${lines.join('\n')}\n`;
}

function describeExpected(error: WeftError): string[] {
  const lines = [`weft: ${error.message} (${error.code})`];
  if (error.cause instanceof AggregateError) lines.push(...error.cause.errors.flatMap(describeReason));
  else if (isNews(error)) lines.push(`cause: ${messageOf(error.cause)}`);
  if (error.remedy !== undefined) lines.push(`remedy: ${error.remedy}`);
  return lines;
}

/** Whether the cause says something that the sentence does not end with already. */
function isNews({ message, cause }: WeftError): boolean {
  return cause !== undefined && cause !== null && !message.endsWith(refusalOf(cause));
}

/** One of several reasons, indented below their common sentence, with a remedy of its own. */
function describeReason(reason: unknown): string[] {
  if (!(reason instanceof WeftError)) return [`  - ${messageOf(reason)}`];
  const remedy = reason.remedy === undefined ? [] : [`    remedy: ${reason.remedy}`];
  return [`  - ${reason.message} (${reason.code})`, ...remedy];
}

function describeUnexpected(error: unknown, debug: boolean): string[] {
  const lines = [`weft: unexpected error: ${messageOf(error)}`];
  if (!debug)
    lines.push('This is a mistake in Weft, not yours. Run it again with WEFT_DEBUG=1 to see where, and please report it.');
  return lines;
}

/** One line about a cause; the causes of a cause follow it. */
function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const refused = systemError(cause);
  if (refused !== null) return refused.message;
  // Node reports a refused connection to several addresses as an AggregateError without a message.
  const own =
    cause.message !== '' ? cause.message : cause instanceof AggregateError ? cause.errors.map(messageOf).join(', ') : cause.name;
  return cause.cause instanceof Error ? `${own}: ${messageOf(cause.cause)}` : own;
}

/** A chain of causes, outermost first: the last one is usually where it began. */
function stacksOfCauses(error: Error): string[] {
  return error.cause instanceof Error ? [`caused by ${error.cause.stack ?? ''}`, ...stacksOfCauses(error.cause)] : [];
}
