import { WeftError } from '#model/error.ts';
import { parsePublications } from '#model/launch/publication.ts';
import { captureAnnotations, captureProblems } from '#model/mesh/capture.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import type { SharedLogLevel } from '#model/telemetry/log-level.ts';
import type { AgentStatus, Handover, StartedWorkload } from '#protocol/api/agent.ts';
import { answerLogLevel } from '#protocol/api/log-level.ts';
import { type ApiReply, bodyObject, isRecord, replyTo } from '#protocol/api/reply.ts';

/** What the API can make the agent do. */
export type LocalApiActions = {
  start(workload: WorkloadRequest): Promise<StartedWorkload>;
  /** graceMs null: the usual one. */
  stop(key: { namespace: string; name: string }, graceMs: number | null): Promise<void>;
  /** Whether new connections are to go elsewhere. */
  drain(key: { namespace: string; name: string }, draining: boolean): Promise<void>;
  status(): AgentStatus;
  isLeaving(): boolean;
  handOver(onlyLeaving: boolean): Promise<Handover>;
  cleanup(): Promise<void>;
  logLevel: SharedLogLevel;
};

const DRAIN_PATH = /^\/v1\/workloads\/([a-z0-9-]{1,63})\/([a-z0-9-]{1,63})\/drain$/;
const WORKLOAD_PATH = /^\/v1\/workloads\/([a-z0-9-]{1,63})\/([a-z0-9-]{1,63})(?:\?graceMs=(\d{1,9}))?$/;

/** The agent's local API (src/protocol/api/agent.ts), free of sockets: a request in, a reply out. Never rejects. */
export function answerLocalApi(method: string, path: string, body: string, actions: LocalApiActions): Promise<ApiReply> {
  return replyTo(() => act(method, path, body, actions));
}

/** What the agent does and says; undefined: nothing to say. Errors: WEFT_API_PATH, WEFT_API_BODY and those of the actions. */
function act(method: string, path: string, body: string, actions: LocalApiActions): unknown {
  const told = answerLogLevel(actions.logLevel, `${method} ${path}`, body);
  if (told !== undefined) return told;
  if (method === 'GET' && path === '/v1/status') return actions.status();
  if (method === 'POST' && path === '/v1/workloads') return actions.start(readStart(body));
  if (method === 'GET' && path === '/v1/handover') return { leaving: actions.isLeaving() };
  if (method === 'POST' && path === '/v1/handover') return actions.handOver(bodyObject(body).onlyLeaving === true);
  if (method === 'POST' && path === '/v1/cleanup') return actions.cleanup();
  const [, ofNamespace, ofName] = DRAIN_PATH.exec(path) ?? [];
  if (method === 'POST' && ofNamespace !== undefined && ofName !== undefined)
    return actions.drain({ namespace: ofNamespace, name: ofName }, bodyObject(body).draining !== false);
  const [, namespace, name, grace] = WORKLOAD_PATH.exec(path) ?? [];
  if (method === 'DELETE' && namespace !== undefined && name !== undefined)
    return actions.stop({ namespace, name }, grace === undefined ? null : Number(grace));
  throw new WeftError('WEFT_API_PATH', `the agent has no ${method} ${path}`);
}

function readStart(body: string): WorkloadRequest {
  const { name, namespace, serviceAccount, labels, nativeTunnel, published: told, weight, annotations } = bodyObject(body);
  if (typeof name !== 'string' || typeof namespace !== 'string' || typeof serviceAccount !== 'string') {
    throw new WeftError('WEFT_API_BODY', 'name, namespace and serviceAccount must be strings');
  }
  const published = parsePublications(told);
  if (published === null) throw new WeftError('WEFT_API_BODY', 'published must be a list of { ip, hostPort, port }');
  if (weight !== undefined && !(typeof weight === 'number' && Number.isInteger(weight) && weight >= 1))
    throw new WeftError('WEFT_API_BODY', 'weight must be a whole number, at least 1');
  const more = {
    ...(published.length === 0 ? {} : { published }),
    ...(weight === undefined ? {} : { weight }),
    ...(annotations === undefined ? {} : { annotations: readAnnotations(annotations) }),
  };
  return { name, namespace, serviceAccount, labels: readTexts('labels', labels), nativeTunnel: nativeTunnel === true, ...more };
}

/** Those that have an effect; one of them that cannot be read is refused rather than passed over. */
function readAnnotations(told: unknown): Record<string, string> {
  const annotations = readTexts('annotations', told);
  const [problem] = captureProblems(annotations);
  if (problem !== undefined) throw new WeftError('WEFT_API_BODY', problem);
  return captureAnnotations(annotations);
}

function readTexts(field: string, texts: unknown): Record<string, string> {
  if (texts === undefined) return {};
  if (!isRecord(texts)) throw new WeftError('WEFT_API_BODY', `${field} must be an object of strings`);
  return Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, String(value)]));
}
