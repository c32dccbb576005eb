import { unreachable } from '#model/error.ts';
import type { CharSet } from '#model/routing/regex/char-set.ts';
import { type Assertion, type RegexNode, RegexRefusal } from '#model/routing/regex/syntax.ts';
import { REGEX } from '#model/settings/waypoints.ts';

/** One step of a Thompson automaton; numbers are indexes of the next steps. */
export type Instruction =
  | { kind: 'set'; set: CharSet; next: number }
  | { kind: 'assertion'; assertion: Assertion; next: number }
  | { kind: 'split'; next: number; other: number }
  | { kind: 'match' };

/** Execution starts at the last instruction. */
export type Program = readonly Instruction[];

/** Errors: RegexRefusal when the pattern expands to more than REGEX.instructionsMax steps. */
export function assemble(node: RegexNode): Program {
  const program: Instruction[] = [{ kind: 'match' }];
  const start = emit(program, node, 0);
  // An empty pattern emits nothing; a split to the same place keeps "starts at the last" true.
  if (start !== program.length - 1) push(program, { kind: 'split', next: start, other: start });
  return program;
}

/** Emits `node` so that it continues at `next`; returns where it starts. */
function emit(program: Instruction[], node: RegexNode, next: number): number {
  switch (node.kind) {
    case 'set':
      return push(program, { kind: 'set', set: node.set, next });
    case 'assertion':
      return push(program, { kind: 'assertion', assertion: node.assertion, next });
    case 'sequence':
      return node.items.reduceRight((after, item) => emit(program, item, after), next);
    case 'choice':
      return node.items
        .map((item) => emit(program, item, next))
        .reduceRight((other, start) => push(program, { kind: 'split', next: start, other }));
    case 'repeat':
      return emitRepeat(program, node, next);
    default:
      return unreachable(node);
  }
}

function emitRepeat(program: Instruction[], node: RegexNode & { kind: 'repeat' }, next: number): number {
  let start = next;
  if (node.max === null) {
    const loop: Instruction & { kind: 'split' } = { kind: 'split', next, other: next };
    start = push(program, loop);
    loop.next = emit(program, node.item, start);
  } else {
    for (let count = node.min; count < node.max; count++) {
      const body = emit(program, node.item, start);
      start = push(program, { kind: 'split', next: body, other: next });
    }
  }
  for (let count = 0; count < node.min; count++) start = emit(program, node.item, start);
  return start;
}

function push(program: Instruction[], instruction: Instruction): number {
  if (program.length >= REGEX.instructionsMax)
    throw new RegexRefusal('expands to too large a program; use smaller repeat counts');
  return program.push(instruction) - 1;
}
