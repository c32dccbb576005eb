import { WeftError } from '#model/error.ts';
import type { AgentStatus, ApiError, StartedWorkload, StartWorkload } from '#protocol/api/agent.ts';

/** body null: none. */
export type ApiReply = { status: number; body: unknown };

/** What the API can make the agent do. */
export type LocalApiActions = {
  start(workload: StartWorkload): Promise<StartedWorkload>;
  stop(key: { namespace: string; name: string }): Promise<void>;
  status(): AgentStatus;
  cleanup(): Promise<void>;
};

const CONFLICT = new Set(['WEFT_WORKLOAD_EXISTS']);
const WORKLOAD_PATH = /^\/v1\/workloads\/([a-z0-9-]{1,63})\/([a-z0-9-]{1,63})$/;

/** The agent's local API (src/protocol/api/agent.ts), free of sockets: a request in, a reply out. Never rejects. */
export async function answerLocalApi(method: string, path: string, body: string, actions: LocalApiActions): Promise<ApiReply> {
  try {
    if (method === 'GET' && path === '/v1/status') return { status: 200, body: actions.status() };
    if (method === 'POST' && path === '/v1/workloads') return { status: 200, body: await actions.start(parseStart(body)) };
    if (method === 'POST' && path === '/v1/cleanup') {
      await actions.cleanup();
      return { status: 204, body: null };
    }
    const [, namespace, name] = WORKLOAD_PATH.exec(path) ?? [];
    if (method === 'DELETE' && namespace !== undefined && name !== undefined) {
      await actions.stop({ namespace, name });
      return { status: 204, body: null };
    }
    return { status: 404, body: apiError('WEFT_API_PATH', `the agent has no ${method} ${path}`) };
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): ApiReply {
  if (error instanceof WeftError) {
    const status = CONFLICT.has(error.code)
      ? 409
      : error.code === 'WEFT_API_BODY' || error.code === 'WEFT_WORKLOAD_NAME'
        ? 400
        : 500;
    return { status, body: apiError(error.code, error.message, error.remedy) };
  }
  return { status: 500, body: apiError('WEFT_INTERNAL', error instanceof Error ? error.message : String(error)) };
}

function apiError(code: string, message: string, remedy?: string): ApiError {
  return remedy === undefined ? { code, message } : { code, message, remedy };
}

function parseStart(body: string): StartWorkload {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new WeftError('WEFT_API_BODY', 'the request body is not JSON', { cause });
  }
  if (!isRecord(value)) throw new WeftError('WEFT_API_BODY', 'the request body is not an object');
  const { name, namespace, serviceAccount, labels, nativeTunnel } = value;
  if (typeof name !== 'string' || typeof namespace !== 'string' || typeof serviceAccount !== 'string') {
    throw new WeftError('WEFT_API_BODY', 'name, namespace and serviceAccount must be strings');
  }
  return { name, namespace, serviceAccount, labels: parseLabels(labels), nativeTunnel: nativeTunnel === true };
}

function parseLabels(labels: unknown): Record<string, string> {
  if (labels === undefined) return {};
  if (!isRecord(labels)) throw new WeftError('WEFT_API_BODY', 'labels must be an object of strings');
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, String(value)]));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
