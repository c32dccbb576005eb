import type { Command } from 'commander';
import { type Act, jsonFileOption, makeCommand } from './command.ts';

/** What `weft demo` is told. */
export type DemoOptions = { once: boolean; jsonPath: string | null };

/** `weft demo`: a bookshop on two virtual nodes. */
export function demoCommand(act: Act<DemoOptions>): Command {
  return makeCommand('demo', 'Look and check:', 'Run a bookshop on two virtual nodes of this machine', [
    { command: 'weft demo', does: 'keep it up, with things to try; Ctrl-C removes everything' },
    { command: 'weft demo --once --json checks.json', does: 'run all checks once and keep the result' },
  ])
    .option('--once', 'run the checks, print them as a table and end; the exit code is 1 when one fails', false)
    .addOption(jsonFileOption())
    .action(({ once, json }: { once: boolean; json?: string }) => act({ once, jsonPath: json ?? null }));
}
