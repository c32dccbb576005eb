import { rmdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandResult } from '#testbed/command.ts';
import { tryCommand } from '#testbed/command.ts';
import { weft } from '#testbed/weft-command.ts';
import type { DemoMesh } from './demo-mesh.ts';
import { bystanderCgroup } from './outsiders.ts';

const UNINSTALL_TIMEOUT_MS = 30_000;
const END_WAIT_MS = 10_000;

/**
 * Takes a running mesh down the way a user would: the apps first, then `weft uninstall`, which ends the rest.
 * Returns what `weft uninstall` said; whether it did its work is for the caller to see.
 */
export async function leaveMesh(mesh: DemoMesh): Promise<CommandResult> {
  const { plan, paths } = mesh;
  await mesh.stopApps();
  await rmdir(bystanderCgroup(plan)).catch(() => {});
  const line = weft('uninstall', '--run-dir', paths.meshRunDir, '--state-dir', paths.stateDir, '--bpffs', plan.bpffsMount);
  const said = await tryCommand(line, UNINSTALL_TIMEOUT_MS);
  await Promise.race([Promise.all(mesh.children().map((child) => child.ended)), sleep(END_WAIT_MS, undefined, { ref: false })]);
  return said;
}
