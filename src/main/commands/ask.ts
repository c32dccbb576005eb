import { existsSync } from 'node:fs';
import { release, type } from 'node:os';
import { type CaOptions, formatCa } from '#cli/ca.ts';
import { formatData } from '#cli/command.ts';
import { completeDescription, type DescribeOptions, formatDescription } from '#cli/describe.ts';
import { formatVersions, type VersionOptions } from '#cli/look-and-check.ts';
import type { ControlReport, NodeReport, StatusOptions, StatusReport } from '#cli/status.ts';
import { formatStatus } from '#cli/status-page.ts';
import type { TokenOptions } from '#cli/token.ts';
import { weftVersion } from '#main/commands/control-access.ts';
import { showProgress } from '#main/commands/progress.ts';
import { WeftError } from '#model/error.ts';
import { agentsBelow, type NodePlace } from '#platform/files/run-dir.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { controlSocketPath } from '#protocol/api/places.ts';

/** What takes so long, where it does: a part that hangs. */
const ASKING = 'asking the parts of the mesh';

/** `weft status`. Errors: WEFT_NOT_RUNNING when there is nothing to tell about. */
export async function status({ runDir, output }: StatusOptions): Promise<number> {
  const report = await showProgress(ASKING, () => gather(runDir));
  if (report.nodes.length === 0 && report.control.kind === 'absent') {
    throw new WeftError('WEFT_NOT_RUNNING', `nothing of the mesh runs on this machine, as far as ${runDir} tells`, {
      remedy: 'start it with weft up DIR, or name another place with --run-dir',
    });
  }
  process.stdout.write(await formatStatus(report, output));
  return 0;
}

/** Asks everybody at once, so that one that hangs costs its own time only (COMMAND.statusMs). */
export async function gather(runDir: string): Promise<StatusReport> {
  const places = agentsBelow(runDir);
  const [control, ...nodes] = await Promise.all([askControl(controlSocketPath(runDir)), ...places.map(askNode)]);
  return { version: weftVersion(), nowMs: Date.now(), nodes, control };
}

/** A node that does not answer is part of the report: what it left in the kernel still works. */
async function askNode({ node, socketPath }: NodePlace): Promise<NodeReport> {
  try {
    return { kind: 'up', status: await agentClient(socketPath).status() };
  } catch (error) {
    return { kind: 'down', node, error: reasonOf(error) };
  }
}

/** Absent where there is no socket: then the control plane runs elsewhere, or nowhere. */
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

/** `weft describe`. An agent that does not answer leaves its paths out. Errors: WEFT_NO_CONTROL, WEFT_NOTHING_SO_NAMED. */
export async function describe({ runDir, output, ...subject }: DescribeOptions): Promise<number> {
  const control = controlClient(controlSocketPath(runDir));
  const places = agentsBelow(runDir); // first: who may not look there has asked nobody yet
  const asked = () =>
    Promise.all([
      control.describe(subject),
      control.status(),
      ...places.map(({ socketPath }) =>
        agentClient(socketPath)
          .status()
          .catch(() => null),
      ),
    ]);
  const [description, status, ...agents] = await showProgress(ASKING, asked);
  const answered = agents.filter((agent) => agent !== null);
  process.stdout.write(await formatDescription(completeDescription(description, answered, status), output, Date.now()));
  return 0;
}

/** `weft token`: the token alone on standard output, so that it can be redirected into a file. Errors: WEFT_NO_CONTROL. */
export async function token(options: TokenOptions): Promise<number> {
  const { node, socket, output } = options;
  if (options.kind === 'revoke') {
    await showProgress(ASKING, () => controlClient(socket).revoke(node, options.freeAddresses));
    if (output !== 'text') process.stdout.write(await formatData({ node, revoked: true }, output));
    else process.stderr.write(`weft: every token of ${node} made until now is refused; certificates it holds end within a day\n`);
    return 0;
  }
  const { grant, ttlSeconds } = options;
  const wanted = { node, ...grant, ...(ttlSeconds === null ? {} : { ttlSeconds }) };
  const made = await showProgress(ASKING, () => controlClient(socket).token(wanted));
  if (output !== 'text') {
    process.stdout.write(await formatData({ node, ...made }, output));
    return 0;
  }
  process.stdout.write(`${made.token}\n`);
  const until = made.expiresAt.slice(0, '2026-01-01'.length);
  process.stderr.write(
    `weft: ${node} has the addresses ${made.addresses.join(' and ')}; route them to it. The token is good until ${until}\n`,
  );
  return 0;
}

/** `weft ca`. Errors: WEFT_NO_CONTROL, and those of the rotation. */
export async function ca({ act, socket, output }: CaOptions): Promise<number> {
  const client = controlClient(socket);
  const told = await showProgress(ASKING, () => (act === 'rotate' ? client.rotateRoot() : client.ca()));
  process.stdout.write(await formatCa(told, output));
  return 0;
}

/** `weft version`: with what it runs on, because reports of faults begin with this line. */
export async function version({ output }: VersionOptions): Promise<number> {
  const versions = { weft: weftVersion(), node: process.version, system: type(), kernel: release(), architecture: process.arch };
  process.stdout.write(await formatVersions(versions, output));
  return 0;
}
