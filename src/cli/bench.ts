import type { Command } from 'commander';
import { type Act, jsonFileOption, makeCommand } from './command.ts';

/** What `weft bench` is told. */
export type BenchOptions = { jsonPath: string | null };

/** `weft bench`: measurements against plain TCP and HAProxy. */
export function benchCommand(act: Act<BenchOptions>): Command {
  return makeCommand('bench', 'Look and check:', 'Measure this machine against plain TCP and a pair of HAProxy', [
    { command: 'weft bench --json bench.json', does: 'print the table and keep the figures' },
  ])
    .addOption(jsonFileOption())
    .action(({ json }: { json?: string }) => act({ jsonPath: json ?? null }));
}
