import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fabricDown } from './fabric.ts';
import { NETNS_DIR } from './leftovers.ts';
import type { FabricPlan } from './plan.ts';
import { OWNER_FILE, planFabric, runIdOf } from './plan.ts';
import { processAlive } from './process-identity.ts';

/**
 * Removes what runs left behind whose process died (kill -9, power button of a terminal) and returns their ids.
 * A run whose owner still lives, or has not yet written who it is, is left alone.
 */
export async function sweepStaleRuns(current: FabricPlan): Promise<string[]> {
  const tempDir = dirname(current.runDir);
  const cgroup2Mount = dirname(current.cgroupRoot);
  const names = await Promise.all([tempDir, cgroup2Mount, NETNS_DIR].map((dir) => readdir(dir).catch(() => [])));
  const runIds = new Set(
    names
      .flat()
      .map(runIdOf)
      .filter((runId) => runId !== null && runId !== current.runId),
  );
  const swept: string[] = [];
  for (const runId of runIds) {
    if (runId === null) continue;
    const plan = planFabric(runId, tempDir, cgroup2Mount);
    const owner = await readFile(join(plan.runDir, OWNER_FILE), 'utf8').catch(() => null);
    // The directory is made first and removed last, so one without an owner is being made or removed right now.
    if (owner === null || (await processAlive(owner))) continue;
    await fabricDown(plan, true);
    swept.push(runId);
  }
  return swept;
}
