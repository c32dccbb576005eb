import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import type { TestContext } from 'node:test';

/** A request as an HTTP/2 app saw it. */
export type Heard2 = { headers: http2.IncomingHttpHeaders; body: string; trailers: http2.IncomingHttpHeaders | null };

export type App2 = { port: number; heard: Heard2[]; sessions: Set<http2.ServerHttp2Session> };

/** A node:http2 app (prior knowledge) on loopback; `answer` gets each stream once its request is complete. */
export async function startHttp2App(
  t: TestContext,
  answer: (stream: http2.ServerHttp2Stream, heard: Heard2) => void,
): Promise<App2> {
  const server = http2.createServer();
  const heard: Heard2[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    const one: Heard2 = { headers, body: '', trailers: null };
    stream.on('error', () => {});
    stream.on('trailers', (trailers) => {
      one.trailers = trailers;
    });
    stream.on('data', (data: Buffer) => {
      one.body += data.toString('latin1');
    });
    stream.on('end', () => {
      heard.push(one);
      answer(stream, one);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as net.AddressInfo).port, heard, sessions };
}

/** What an HTTP/2 client saw; `error`: the stream was reset. */
export type Answer2 = {
  status: number;
  headers: http2.IncomingHttpHeaders;
  body: string;
  trailers: http2.IncomingHttpHeaders | null;
  ended: boolean;
  error: string | null;
};

/** An HTTP/2 connection to a loopback port, closed after the test. */
export function http2Client(t: TestContext, port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  t.after(() => session.destroy());
  return session;
}

/** Sends one request and waits for everything that comes back. */
export function ask2(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body: string | Buffer | null = null,
  trailers: http2.OutgoingHttpHeaders | null = null,
): Promise<Answer2> {
  const stream = session.request(headers, { endStream: body === null, waitForTrailers: trailers !== null });
  const seen: Answer2 = { status: 0, headers: {}, body: '', trailers: null, ended: false, error: null };
  stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
  stream.on('response', (response) => {
    seen.headers = response;
    seen.status = Number(response[':status']);
  });
  stream.on('trailers', (received) => {
    seen.trailers = received;
  });
  stream.on('data', (data: Buffer) => {
    seen.body += data.toString('latin1');
  });
  stream.on('end', () => {
    seen.ended = true;
  });
  stream.on('error', (error) => {
    seen.error = error.message;
  });
  if (body !== null) stream.end(body);
  return new Promise((resolve) => stream.on('close', () => resolve(seen)));
}
