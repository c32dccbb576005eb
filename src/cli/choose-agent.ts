import { WeftError } from '#model/error.ts';

/** What options say of the agent to ask. */
export type AgentChoice = { agentSocket: string | null; node: string | null; runDir: string };

/** An agent that has a socket on this machine. */
export type AgentPlace = { node: string; socketPath: string };

/** The socket of the agent to ask: the given one, that of `node`, or that of the only one that `find` knows. Errors: WEFT_NO_AGENT, WEFT_WHICH_AGENT. */
export function chooseAgentSocket(choice: AgentChoice, find: () => readonly AgentPlace[]): string {
  if (choice.agentSocket !== null) return choice.agentSocket;
  const agents = find();
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
