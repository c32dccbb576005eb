import { type Actions, buildProgram } from '#cli/program.ts';
import { renderReference } from '#cli/reference.ts';

const COLUMNS = 100;

async function idle(): Promise<number> {
  return 0;
}

/** Commands that do nothing: for looking at their definitions. */
export const IDLE_ACTIONS: Actions = {
  up: idle,
  run: idle,
  stop: idle,
  ps: idle,
  uninstall: idle,
  control: idle,
  agent: idle,
  waypoint: idle,
  token: idle,
  status: idle,
  validate: idle,
  lab: idle,
  demo: idle,
  bench: idle,
  version: idle,
};

/** What docs/cli.md must hold. */
export function referencePage(): string {
  return renderReference(buildProgram(IDLE_ACTIONS, { out() {}, err() {}, columns: COLUMNS }, () => {}));
}
