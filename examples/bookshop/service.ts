import { createServer, type IncomingMessage, request } from 'node:http';

/** What a service of the shop adds to its answer. */
export type Handler = (request: IncomingMessage, url: URL) => Promise<object> | object;

/** The port every HTTP service of the shop listens on, over IPv4 and IPv6. */
export const HTTP_PORT = 9080;

/** Headers worth passing on, so that one request can be followed (and steered) through the shop. */
const FORWARDED_HEADERS = ['x-request-id', 'traceparent', 'x-tester'];

/**
 * Starts one service: plain HTTP/1.1, no mesh library, no TLS.
 * Each answer is JSON and says who answered, and whom the service saw as its peer.
 */
export function serve(service: string, version: string, handler: Handler): void {
  const server = createServer(async (incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    const seen = { peer: plainAddress(incoming.socket.remoteAddress), headers: incoming.headers };
    const answer = { service, version, ...(await handler(incoming, url)), seen };
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify(answer, null, 2)}\n`);
  });
  server.listen({ port: HTTP_PORT, host: '::' }, () => announce(service, version, HTTP_PORT));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));
}

/** Calls another service of the shop by its name; a failure is part of the answer, as a shopper would see it. */
export function call(url: string, incoming: IncomingMessage): Promise<object> {
  const headers = Object.fromEntries(
    FORWARDED_HEADERS.map((name) => [name, incoming.headers[name]]).filter(([, value]) => value !== undefined),
  );
  return new Promise((resolve) => {
    const outgoing = request(url, { headers, timeout: 5_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () => resolve(response.statusCode === 200 ? JSON.parse(body) : { status: response.statusCode, body }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
    outgoing.end();
  });
}

/** One line that tells whoever started the process that it is ready. */
export function announce(service: string, version: string, port: number): void {
  process.stdout.write(`${JSON.stringify({ event: 'listening', service, version, port, pid: process.pid })}\n`);
}

/** A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; people write a.b.c.d. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '');
}
