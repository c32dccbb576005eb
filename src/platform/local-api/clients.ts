import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import type { LogLevel } from '#model/telemetry/log-level.ts';
import type { AgentClient, AgentStatus, Handover, StartedWorkload } from '#protocol/api/agent.ts';
import type { CaStatus, ControlClient, ControlStatus, TokenResponse } from '#protocol/api/control.ts';
import type { Description } from '#protocol/api/describe.ts';
import { LOG_LEVEL_PATH, type LogLevelStatus } from '#protocol/api/log-level.ts';
import { isRecord } from '#protocol/api/reply.ts';
import type { AppliedResource, ComparedResource, DeletedResource, ListAnswer, ResourceClient } from '#protocol/api/resources.ts';
import { callSocket, type SocketCall } from './call-socket.ts';

const NO_AGENT = {
  code: 'WEFT_NO_AGENT',
  what: 'the agent',
  remedy: 'start it with weft up or weft agent, or name another with --run-dir or --agent-socket',
};

const AGENT_LEAVING = 'WEFT_AGENT_LEAVING';

const NO_CONTROL = {
  code: 'WEFT_NO_CONTROL',
  what: 'the control plane',
  remedy: 'start it with weft up or weft control, or name its socket with --socket or --run-dir',
};

const NO_WAYPOINT = {
  code: 'WEFT_NO_WAYPOINT',
  what: 'the waypoint',
  remedy: 'see weft status; the control plane starts waypoints, and starts those again that end',
};

/** The level of a waypoint's log; with one, which it has from now on. Errors: WEFT_NO_WAYPOINT when it does not answer, WEFT_NOT_ROOT. */
export function waypointLogLevel(socketPath: string, level?: LogLevel): Promise<LogLevelStatus> {
  return askLogLevel({ socketPath, absent: NO_WAYPOINT }, level);
}

async function askLogLevel(part: Pick<SocketCall, 'socketPath' | 'absent'>, level?: LogLevel): Promise<LogLevelStatus> {
  const asked = level === undefined ? { method: 'GET' as const } : { method: 'POST' as const, body: { level } };
  return (await callSocket({ ...part, ...asked, path: LOG_LEVEL_PATH, timeoutMs: COMMAND.statusMs })) as LogLevelStatus;
}

/** Speaks to the agent behind a unix socket; it is of this source tree, so its answers are taken at their word. */
export function agentClient(socketPath: string): AgentClient {
  const call = (method: 'GET' | 'POST' | 'DELETE', path: string, timeoutMs: number, body?: unknown): Promise<unknown> =>
    callSocket({ socketPath, method, path, body, timeoutMs, absent: NO_AGENT });
  const change: typeof call = (...asked) => ofTheNextOne(() => call(...asked));
  return {
    status: async () => (await call('GET', '/v1/status', COMMAND.statusMs)) as AgentStatus,
    start: async (workload) => (await change('POST', '/v1/workloads', COMMAND.sandboxMs, workload)) as StartedWorkload,
    async stop(namespace, name, graceMs) {
      const path = `/v1/workloads/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
      const grace = graceMs === undefined ? '' : `?graceMs=${graceMs}`;
      await change('DELETE', `${path}${grace}`, COMMAND.stopMs + (graceMs ?? 0));
    },
    async drain(namespace, name, draining) {
      const path = `/v1/workloads/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/drain`;
      await change('POST', path, COMMAND.sandboxMs, { draining });
    },
    async leaving() {
      const answer = await call('GET', '/v1/handover', COMMAND.statusMs);
      return isRecord(answer) && answer.leaving === true;
    },
    handOver: async (onlyLeaving) => (await call('POST', '/v1/handover', COMMAND.stopMs, { onlyLeaving })) as Handover,
    async cleanup() {
      await call('POST', '/v1/cleanup', COMMAND.stopMs);
    },
    logLevel: (level) => askLogLevel({ socketPath, absent: NO_AGENT }, level),
  };
}

/** An agent that leaves its node to another one begins nothing: that one is asked, as soon as it is there. Errors: those of asking. */
async function ofTheNextOne<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const deadlineMs = performance.now() + COMMAND.agentStartMs;
  for (let leaving = false; ; ) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof WeftError) || performance.now() > deadlineMs) throw error;
      leaving ||= error.code === AGENT_LEAVING;
      if (!leaving || ![AGENT_LEAVING, NO_AGENT.code].includes(error.code)) throw error;
    }
    await sleep(COMMAND.pollMs);
  }
}

/** Speaks to the control plane behind a unix socket; it is of this source tree, so its answers are taken at their word. */
export function controlClient(socketPath: string): ControlClient & ResourceClient {
  const call = (method: 'GET' | 'POST', path: string, timeoutMs: number, body?: unknown): Promise<unknown> =>
    callSocket({ socketPath, method, path, body, timeoutMs, absent: NO_CONTROL });
  const edit = (what: string, body: unknown) => call('POST', `/v1/resources/${what}`, COMMAND.editMs, body);
  const listOf = <Item>(answer: unknown): Item[] => (answer as { resources: Item[] }).resources;
  return {
    status: async () => (await call('GET', '/v1/status', COMMAND.statusMs)) as ControlStatus,
    describe: async (subject) => (await call('POST', '/v1/describe', COMMAND.statusMs, subject)) as Description,
    token: async (request) => (await call('POST', '/v1/tokens', COMMAND.statusMs, request)) as TokenResponse,
    async revoke(node, freeAddresses = false) {
      await call('POST', '/v1/tokens/revoke', COMMAND.statusMs, { node, freeAddresses });
    },
    ca: async () => (await call('GET', '/v1/ca', COMMAND.statusMs)) as CaStatus,
    rotateRoot: async () => (await call('POST', '/v1/ca/rotate', COMMAND.statusMs)) as CaStatus,
    async stopWaypoints() {
      await call('POST', '/v1/waypoints/stop', COMMAND.stopMs);
    },
    apply: async (given, dryRun) => listOf<AppliedResource>(await edit('apply', { resources: given, dryRun })),
    remove: async (what) => listOf<DeletedResource>(await edit('delete', what)),
    compare: async (given) => listOf<ComparedResource>(await edit('diff', { resources: given })),
    list: async (request) => (await edit('list', request)) as ListAnswer,
    logLevel: (level) => askLogLevel({ socketPath, absent: NO_CONTROL }, level),
  };
}
