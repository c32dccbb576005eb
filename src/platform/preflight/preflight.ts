import { WeftError } from '#model/error.ts';
import { machineProblems, notRoot } from './checks.ts';
import { type MachineFacts, readMachineFacts } from './facts.ts';

/**
 * Returns when this machine can run Weft's data path.
 * Errors: the one reason why it cannot, or WEFT_MACHINE with an AggregateError of all of them as its cause.
 */
export function requireMachine(facts: MachineFacts = readMachineFacts()): void {
  const problems = machineProblems(facts);
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) throw first;
  throw new WeftError('WEFT_MACHINE', 'this machine cannot run Weft', { cause: new AggregateError(problems) });
}

/** Returns when the process is root. Errors: WEFT_NOT_ROOT. */
export function requireRoot(because: string, userId: number = process.geteuid?.() ?? -1): void {
  if (userId !== 0) throw notRoot(because);
}
