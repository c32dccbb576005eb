import { chmodSync, existsSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';

/** Turns one request into a status and a body; null: no body. */
export type Answer = (method: string, path: string, body: string) => Promise<{ status: number; body: unknown }>;

/**
 * Serves JSON over HTTP on a unix socket that only root can open. Returns the close function.
 * Errors: WEFT_ALREADY_RUNNING when somebody answers there, WEFT_SOCKET_PATH when it cannot be made.
 */
export async function serveLocalSocket(path: string, answer: Answer): Promise<() => Promise<void>> {
  await requireFreeSocket(path);
  if (existsSync(path)) unlinkSync(path);
  const server = createServer((request, response) => void serve(request, response, answer));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new WeftError('WEFT_SOCKET_PATH', `cannot listen on ${path}`, { cause, remedy: 'check --run-dir' })),
    );
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

/** To be asked before anything is touched that a running process may be using. Errors: WEFT_ALREADY_RUNNING. */
export async function requireFreeSocket(path: string): Promise<void> {
  if (!existsSync(path) || !(await answers(path))) return;
  throw new WeftError('WEFT_ALREADY_RUNNING', `another process serves ${path}`, {
    remedy: 'stop it first, or choose another --run-dir or --node',
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

async function serve(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      if (bytes > AGENT.requestBytesMax)
        throw new WeftError('WEFT_API_BODY', `a request body may have ${AGENT.requestBytesMax} bytes`);
      chunks.push(piece);
    }
    const reply = await answer(request.method ?? 'GET', request.url ?? '/', Buffer.concat(chunks).toString('utf8'));
    response.writeHead(reply.status, { 'content-type': 'application/json' });
    response.end(reply.body === null ? undefined : JSON.stringify(reply.body));
  } catch (error) {
    if (response.headersSent || response.destroyed) return;
    response.writeHead(413, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ code: 'WEFT_API_BODY', message: error instanceof Error ? error.message : String(error) }));
  }
}
