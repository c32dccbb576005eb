import type { Command } from 'commander';
import { type Actions, buildProgram } from '#cli/program.ts';
import { renderReference, renderShellPages } from '#cli/reference.ts';

const COLUMNS = 100;

async function idle(): Promise<number> {
  return 0;
}

/** Commands that do nothing: for looking at their definitions. */
export const IDLE_ACTIONS: Actions = {
  up: idle,
  run: idle,
  exec: idle,
  logs: idle,
  stop: idle,
  drain: idle,
  ps: idle,
  install: idle,
  uninstall: idle,
  control: idle,
  agent: idle,
  waypoint: idle,
  token: idle,
  ca: idle,
  describe: idle,
  check: idle,
  logLevel: idle,
  bugReport: idle,
  status: idle,
  apply: idle,
  get: idle,
  delete: idle,
  diff: idle,
  validate: idle,
  lab: idle,
  demo: idle,
  bench: idle,
  version: idle,
};

/** The definitions of the commands, which do nothing. */
function idleProgram(): Command {
  return buildProgram(IDLE_ACTIONS, { out() {}, err() {}, columns: COLUMNS }, () => {});
}

/** What docs/cli.md must hold. */
export function referencePage(): string {
  return renderReference(idleProgram());
}

/** What packaging/man and packaging/completions must hold: path from the root → text. */
export function shellPages(): Map<string, string> {
  return new Map([...renderShellPages(idleProgram())].map(([path, text]) => [`packaging/${path}`, text]));
}
