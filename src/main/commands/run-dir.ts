import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';

const WAYPOINTS = 'waypoints';

/** Where one node keeps its sockets, named after it. */
export type NodePlace = { node: string; directory: string; socketPath: string; socketExists: boolean };

/** Socket of the agent of `node`. */
export function agentSocketPath(runDir: string, node: string): string {
  return join(runDir, node, 'agent.sock');
}

/** Socket of the control plane that runs on this machine. */
export function controlSocketPath(runDir: string): string {
  return join(runDir, 'control.sock');
}

/** Socket behind which waypoints of this machine find discovery. */
export function discoverySocketPath(runDir: string): string {
  return join(runDir, 'discovery.sock');
}

/** What is kept about the waypoints that run on this machine. */
export function waypointsDirectory(runDir: string): string {
  return join(runDir, WAYPOINTS);
}

/** Every node that runs, or ran and left something, below `runDir`; sorted by name. Errors: WEFT_NOT_ROOT. */
export function nodesBelow(runDir: string): NodePlace[] {
  return entriesOf(runDir)
    .map((node) => {
      const socketPath = agentSocketPath(runDir, node);
      return { node, directory: join(runDir, node), socketPath, socketExists: existsSync(socketPath) };
    })
    .filter(({ node, socketExists }) => socketExists || node !== WAYPOINTS)
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

function entriesOf(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new WeftError('WEFT_NOT_ROOT', `you may not read ${directory}`, { cause, remedy: 'run the same command with sudo' });
  }
}

/** The socket of the agent to ask: the given one, that of `node`, or that of the only agent. Errors: WEFT_NO_AGENT, WEFT_WHICH_AGENT. */
export function chooseAgentSocket(choice: { agentSocket: string | null; node: string | null; runDir: string }): string {
  if (choice.agentSocket !== null) return choice.agentSocket;
  const agents = nodesBelow(choice.runDir).filter(({ socketExists }) => socketExists);
  const names = agents.map(({ node }) => node).join(', ');
  if (choice.node !== null) {
    const found = agents.find(({ node }) => node === choice.node);
    if (found !== undefined) return found.socketPath;
    throw new WeftError('WEFT_NO_AGENT', `no agent of node "${choice.node}" has a socket below ${choice.runDir}`, {
      remedy: agents.length > 0 ? `write --node with one of: ${names}` : 'start one with weft up or weft agent',
    });
  }
  const [only, second] = agents;
  if (only === undefined) {
    throw new WeftError('WEFT_NO_AGENT', `no agent has a socket below ${choice.runDir}`, {
      remedy: 'start the mesh with weft up DIR, or name the socket with --agent-socket',
    });
  }
  if (second !== undefined) {
    throw new WeftError('WEFT_WHICH_AGENT', `several agents run on this machine: ${names}`, {
      remedy: 'choose one with --node NAME',
    });
  }
  return only.socketPath;
}
