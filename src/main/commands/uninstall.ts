import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { USUAL_POOLS } from '#cli/command.ts';
import { leaveMesh, type UninstallEffects, type UninstallOptions } from '#cli/uninstall.ts';
import { cleanupNode } from '#main/agent/removal.ts';
import { showProgress, tellResult } from '#main/commands/progress.ts';
import { COMMAND } from '#model/settings/host.ts';
import { isBpffs } from '#platform/bpf/bpffs.ts';
import { isLocked } from '#platform/files/lock.ts';
import { removeMarked } from '#platform/files/marked-directory.ts';
import { removeSocket, traceMesh } from '#platform/files/mesh-traces.ts';
import { forgetNode, knownNodes } from '#platform/files/node-register.ts';
import { privatePlaces } from '#platform/files/private-places.ts';
import { removeEmptyParents } from '#platform/files/run-dir.ts';
import { endProcess, isRunning } from '#platform/linux/process/processes.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { commandLog } from '#platform/telemetry/log.ts';
import type { AgentClient } from '#protocol/api/agent.ts';
import { agentSocketPath, controlSocketPath, upLockPath } from '#protocol/api/places.ts';

/**
 * `weft uninstall`. What is removed, and in which order, `leaveMesh` decides; whether any of it is ours too.
 * Errors: WEFT_NOT_ROOT, WEFT_UNINSTALL, WEFT_UNINSTALL_LIVES.
 */
export async function uninstall(options: UninstallOptions): Promise<number> {
  requireRoot('removing eBPF programs and network namespaces');
  try {
    await leaveMesh(options, effectsOf(options));
  } finally {
    // Also after a failure: they hold nothing, or what could not be removed.
    if (isBpffs(options.bpffs)) removeEmptyParents(options.bpffs);
    privatePlaces(); // forgets those that are gone
  }
  return 0;
}

/** This machine, as uninstalling asks and changes it. */
export function effectsOf(options: UninstallOptions): UninstallEffects {
  const { runDir } = options;
  return {
    control: controlClient(controlSocketPath(runDir)),
    agentOf: (node) => leaving(node, agentClient(agentSocketPath(runDir, node))),
    look: () => traceMesh(options, isBpffs),
    exists: existsSync,
    removeMarked,
    removeSocket,
    cleanupNode: (node) => showProgress(`removing node ${node}`, () => cleanupDead(node, options)),
    async upEnds(node) {
      await eventually(() => !isLocked(upLockPath(runDir, node)), COMMAND.uninstallAgentMs);
    },
    endsWithin: (pid, waitMs) => eventually(() => !isRunning(pid), waitMs),
    endProcess,
    agree,
    tell: tellResult,
  };
}

/** An agent whose leave may take a while: its workloads have time to end. */
function leaving(node: string, agent: AgentClient): AgentClient {
  return { ...agent, cleanup: () => showProgress(`waiting for node ${node} to leave`, agent.cleanup) };
}

/** Where the register has no word of a dead agent, its cgroup is looked up as the agent would. */
async function cleanupDead(node: string, { runDir, bpffs }: UninstallOptions): Promise<void> {
  const known = knownNodes().find((holding) => holding.node === node);
  await cleanupNode({ node, runDir, bpffs, cgroup: null, ...USUAL_POOLS, ...known }, commandLog('uninstall'));
  forgetNode(node);
}

async function agree(question: string): Promise<boolean | null> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`weft: ${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
