import { chooseRun, type ExecOptions, noSuchRun, rightsBeside, variablesFor } from '#cli/exec.ts';
import { endingOf } from '#cli/run-workload.ts';
import { chosenVariables } from '#model/launch/environment.ts';
import { liveRuns } from '#platform/files/run-claim.ts';
import { nodesBelow } from '#platform/files/run-dir.ts';
import { refuseCalls, takeTerminalBack } from '#platform/linux/confine/init.ts';
import { findAccount } from '#platform/linux/confine/rights.ts';
import { launchInside, lookInside } from '#platform/linux/sandbox/inside.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { tell } from '#platform/telemetry/notices.ts';
import { onSignal } from './signals.ts';

/** `weft exec`. Errors: WEFT_NOT_ROOT, WEFT_NO_WORKLOAD, WEFT_WHICH_AGENT, WEFT_NO_USER, and those of the launch. */
export async function exec(options: ExecOptions): Promise<number> {
  requireRoot('entering a workload');
  const { user, workdir, command } = options;
  const runs = nodesBelow(options.runDir).flatMap(({ node, directory }) => liveRuns(directory).map((run) => ({ node, ...run })));
  const inside = await lookInside(chooseRun(options, runs).pid);
  if (inside === null) throw noSuchRun(options);
  const { rights, added } = rightsBeside(user === null ? inside.account : await findAccount(user), inside.capabilities);
  const { set, missing } = chosenVariables(options.env, process.env);
  for (const variable of missing) tell(`weft: there is no variable ${variable} here to be passed on\n`);
  if (!refuseCalls(added)) tell('weft: this kernel cannot refuse system calls to the command (docs/security.md)\n');
  const chosen = { ...variablesFor(inside.env, user !== null), ...set };
  const running = launchInside(inside, command, { rights, chosen, workdir });
  const forget = onSignal((signal) => void running.kill(signal));
  try {
    return await endingOf(running);
  } finally {
    forget();
    takeTerminalBack(0);
  }
}
