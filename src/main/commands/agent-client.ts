import { COMMAND } from '#model/settings/host.ts';
import type { AgentStatus, StartedWorkload, StartWorkload } from '#protocol/api/agent.ts';
import { callSocket } from './unix-http.ts';

const ABSENT = {
  code: 'WEFT_NO_AGENT',
  what: 'the agent',
  remedy: 'start it with weft up or weft agent, or name another with --run-dir or --agent-socket',
};

/** The local API of one agent. Errors: WEFT_NO_AGENT when it does not answer, WEFT_NOT_ROOT, and those the agent gives. */
export type AgentClient = {
  status(): Promise<AgentStatus>;
  start(workload: StartWorkload): Promise<StartedWorkload>;
  stop(namespace: string, name: string): Promise<void>;
  cleanup(): Promise<void>;
};

/** Speaks to the agent behind a unix socket; it is of this source tree, so its answers are taken at their word. */
export function agentClient(socketPath: string): AgentClient {
  const call = (method: 'GET' | 'POST' | 'DELETE', path: string, timeoutMs: number, body?: unknown): Promise<unknown> =>
    callSocket({ socketPath, method, path, body, timeoutMs, absent: ABSENT });
  return {
    status: async () => (await call('GET', '/v1/status', COMMAND.statusMs)) as AgentStatus,
    start: async (workload) => (await call('POST', '/v1/workloads', COMMAND.sandboxMs, workload)) as StartedWorkload,
    async stop(namespace, name) {
      await call('DELETE', `/v1/workloads/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, COMMAND.stopMs);
    },
    async cleanup() {
      await call('POST', '/v1/cleanup', COMMAND.stopMs);
    },
  };
}
