import type { Command } from 'commander';
import { type Act, makeCommand } from './command.ts';

/** `weft version`: of Weft, and of what it runs on. */
export function versionCommand(act: Act<Record<string, never>>): Command {
  return makeCommand('version', 'Look and check:', 'Print the versions of Weft, Node.js and the kernel', []).action(() =>
    act({}),
  );
}
