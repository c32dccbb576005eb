import { existsSync } from 'node:fs';
import type { ControlReport, NodeReport, StatusOptions, StatusReport } from '#cli/status.ts';
import { formatStatus } from '#cli/status-page.ts';
import { weftVersion } from '#main/commands/version.ts';
import { WeftError } from '#model/error.ts';
import { agentsBelow, type NodePlace } from '#platform/files/run-dir.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { controlSocketPath } from '#protocol/api/places.ts';

/** `weft status`. Errors: WEFT_NOT_RUNNING when there is nothing to tell about. */
export async function status({ runDir, json }: StatusOptions): Promise<number> {
  const report = await gather(runDir);
  if (report.nodes.length === 0 && report.control.kind === 'absent') {
    throw new WeftError('WEFT_NOT_RUNNING', `nothing of the mesh runs on this machine, as far as ${runDir} tells`, {
      remedy: 'start it with weft up DIR, or name another place with --run-dir',
    });
  }
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : formatStatus(report));
  return 0;
}

async function gather(runDir: string): Promise<StatusReport> {
  const places = agentsBelow(runDir);
  const [control, ...nodes] = await Promise.all([askControl(controlSocketPath(runDir)), ...places.map(askNode)]);
  return { version: weftVersion(), nowMs: Date.now(), nodes, control };
}

async function askNode({ node, socketPath }: NodePlace): Promise<NodeReport> {
  try {
    return { kind: 'up', status: await agentClient(socketPath).status() };
  } catch (error) {
    return { kind: 'down', node, error: reasonOf(error) };
  }
}

async function askControl(socketPath: string): Promise<ControlReport> {
  if (!existsSync(socketPath)) return { kind: 'absent' };
  try {
    return { kind: 'up', status: await controlClient(socketPath).status() };
  } catch (error) {
    return { kind: 'down', error: reasonOf(error) };
  }
}

/** Being no root is the user's to mend, not a state of the mesh. */
function reasonOf(error: unknown): string {
  if (!(error instanceof WeftError) || error.code === 'WEFT_NOT_ROOT') throw error;
  return error.cause instanceof Error ? error.cause.message : String(error.cause ?? error.message);
}
