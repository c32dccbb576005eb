import { Agent, request } from 'node:http';
import type { HttpAnswer, HttpRequest } from './probe-protocol.ts';

const TIMEOUT_MS = 5_000;

/** Sends `count` equal requests over `concurrency` kept-alive connections and counts what came back. */
export async function httpLoad(load: HttpRequest): Promise<HttpAnswer> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.concurrency });
  const answer: HttpAnswer = { statuses: {}, versions: {}, errors: {}, body: '' };
  let left = load.count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await one(load, agent, answer);
  };
  await Promise.all(Array.from({ length: load.concurrency }, worker));
  agent.destroy();
  return answer;
}

/** One request; whatever becomes of it is counted, nothing is thrown. */
function one(load: HttpRequest, agent: Agent, answer: HttpAnswer): Promise<void> {
  const { host, port, path, method, headers } = load;
  return new Promise((resolve) => {
    const outgoing = request({ host, port, path, method, headers, agent, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () => {
        count(answer.statuses, String(response.statusCode));
        if (response.statusCode === 200) count(answer.versions, versionIn(body));
        answer.body = body;
        resolve();
      });
      response.on('error', (error: NodeJS.ErrnoException) => failed(error));
    });
    const failed = (error: NodeJS.ErrnoException): void => {
      count(answer.errors, error.code ?? error.message);
      resolve();
    };
    outgoing.on('timeout', () => outgoing.destroy(new Error('TIMEOUT')));
    outgoing.on('error', failed);
    outgoing.end();
  });
}

/** `service/version` of a shop service's answer; `?` for anything else. */
function versionIn(body: string): string {
  const match = /"service": "([^"]*)",\s*"version": "([^"]*)"/.exec(body);
  return match === null ? '?' : `${match[1]}/${match[2]}`;
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
