import { existsSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { COMMAND } from '#model/settings/host.ts';
import { type ApiReply, errorReply } from '#protocol/api/reply.ts';

/** Turns one request into a reply. Never rejects. */
export type Answer = (method: string, path: string, body: string) => Promise<ApiReply>;

/**
 * Serves JSON over HTTP on a unix socket that only root can open. Returns the close function.
 * Errors: WEFT_ALREADY_RUNNING when somebody answers there, WEFT_SOCKET_PATH when it cannot be made.
 */
export async function serveLocalSocket(
  path: string,
  answer: Answer,
  requestBytesMax: number = AGENT.requestBytesMax,
): Promise<() => Promise<void>> {
  await requireFreeSocket(path);
  if (existsSync(path)) unlinkSync(path);
  const server = createServer((request, response) => {
    // An answer that cannot be given (it is no JSON, say) costs that one caller.
    serve(request, response, answer, requestBytesMax).catch(() => response.destroy());
  });
  await listenForRoot(server, path);
  server.on('error', () => {}); // a caller that could not be accepted (no descriptor left) has its own error
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

/** Listens on a path that nobody but root can open at any moment. Errors: WEFT_SOCKET_PATH. */
export async function listenForRoot(server: Server, path: string): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new WeftError('WEFT_SOCKET_PATH', `cannot listen on ${path}`, { cause, remedy: 'check --run-dir' })),
    );
    server.once('listening', resolve);
  });
  // The socket is bound within listen(): a mode that is set after it would leave a moment in which anybody may connect.
  const before = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
  await listening;
}

/** To be asked before anything is touched that a running process may be using. Errors: WEFT_ALREADY_RUNNING. */
export async function requireFreeSocket(path: string): Promise<void> {
  if (!existsSync(path) || !(await answers(path))) return;
  throw new WeftError('WEFT_ALREADY_RUNNING', `another process serves ${path}`, {
    remedy: 'stop it first, or choose another --run-dir or --node',
  });
}

/** Returns when nobody serves a path any more. Errors: WEFT_ALREADY_RUNNING when somebody does for so long. */
export async function socketFreed(path: string, timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (performance.now() < until && existsSync(path) && (await answers(path))) await sleep(COMMAND.pollMs);
  await requireFreeSocket(path);
}

/** Whether somebody takes calls there. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

async function serve(request: IncomingMessage, response: ServerResponse, answer: Answer, bytesMax: number): Promise<void> {
  const { status, body } = await replyFor(request, answer, bytesMax);
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === null ? undefined : JSON.stringify(body));
}

async function replyFor(request: IncomingMessage, answer: Answer, bytesMax: number): Promise<ApiReply> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      if (bytes > bytesMax) return tooLarge(bytesMax);
      chunks.push(piece);
    }
  } catch (error) {
    return errorReply(error); // the caller left; nobody reads this
  }
  return answer(request.method ?? 'GET', request.url ?? '/', Buffer.concat(chunks).toString('utf8'));
}

function tooLarge(bytesMax: number): ApiReply {
  const error = new WeftError('WEFT_API_BODY', `a request body may have ${bytesMax} bytes`);
  return { ...errorReply(error), status: 413 };
}
