import type { HeaderEdit } from '#model/authorizer/verdict.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import { isForwardableField } from '#protocol/http/forwardable.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';

/** What services that were asked about a request change in it, or in its answer. What no codec could write, and what frames a message, is left out. */
export function changeHeaders(headers: HeaderBlock, edits: readonly HeaderEdit[]): void {
  for (const { name, value, how } of edits) {
    if (!mayBecome(name, value)) continue;
    if (how === 'add') headers.add(name, value);
    else if (how === 'set' || (headers.get(name) === null) === (how === 'absent')) headers.set(name, value);
  }
}

/** What a header of any answer may become in a message of ours. */
export function mayBecome(name: string, value: string): boolean {
  return !isFraming(name) && isForwardableField(name, value);
}
