import { existsSync, readdirSync, rmSync } from 'node:fs';
import { leaveMesh, type UninstallEffects, type UninstallOptions } from '#cli/uninstall.ts';
import { cleanupNode } from '#main/agent/agent-process.ts';
import { privatePlaces } from '#platform/files/private-places.ts';
import { nodesBelow, removeEmptyParents, removeIfEmpty } from '#platform/files/run-dir.ts';
import { endProcess, isRunning } from '#platform/linux/process/processes.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { commandLog } from '#platform/telemetry/log.ts';
import { agentSocketPath, controlSocketPath } from '#protocol/api/places.ts';

/** Only for addresses that a dead agent's records do not name. */
const DEFAULT_POOLS = { pool4: '10.41.0.0/24', pool6: 'fd41:0:0:1::/64' };

/**
 * `weft uninstall`. What is removed, and in which order, `leaveMesh` decides; whether any of it is ours too.
 * Errors: WEFT_NOT_ROOT, WEFT_UNINSTALL.
 */
export async function uninstall(options: UninstallOptions): Promise<number> {
  requireRoot('removing eBPF programs and network namespaces');
  try {
    await leaveMesh(options, effectsOf(options));
  } finally {
    // Also after a failure: they hold nothing, or what could not be removed.
    removeEmptyParents(options.bpffs);
    privatePlaces(); // forgets those that are gone
  }
  return 0;
}

/** This machine, as uninstalling asks and changes it. */
export function effectsOf({ runDir, bpffs }: UninstallOptions): UninstallEffects {
  return {
    control: controlClient(controlSocketPath(runDir)),
    agentOf: (node) => agentClient(agentSocketPath(runDir, node)),
    nodesBelow: (directory) => nodesBelow(directory).map(({ node }) => node),
    exists: existsSync,
    entriesOf,
    removeTree: (path) => rmSync(path, { recursive: true, force: true }),
    removeIfEmpty,
    // The cgroup is looked up as the agent would: a dead one leaves no word of where it was.
    cleanupNode: (node) => cleanupNode({ node, runDir, bpffs, cgroup: null, ...DEFAULT_POOLS }, commandLog('uninstall')),
    endsWithin: (pid, waitMs) => eventually(() => !isRunning(pid), waitMs),
    endProcess,
    tell: (line) => void process.stdout.write(`${line}\n`),
  };
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // not there, or not readable: nothing of it can be removed
  }
}
