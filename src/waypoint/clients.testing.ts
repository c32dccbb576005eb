import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { TestContext } from 'node:test';

/** What curl saw: status, headers and body; `code` is its exit code. */
export type Curled = { code: number; status: number; headers: string; body: string };

/** Runs the real curl. */
export function curl(port: number, path: string, ...args: string[]): Promise<Curled> {
  const all = ['-s', '-i', '--max-time', '5', '--path-as-is', ...args, `http://127.0.0.1:${port}${path}`];
  return new Promise((resolve) => {
    execFile('curl', all, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout) => {
      const code = error === null ? 0 : Number(error.code ?? 1);
      const split = stdout.lastIndexOf('\r\n\r\n', stdout.length);
      const first = stdout.indexOf('\r\n\r\n');
      const end = stdout.startsWith('HTTP/1.1 100') ? stdout.indexOf('\r\n\r\n', first + 4) : first;
      const head = end < 0 ? stdout : stdout.slice(0, end);
      const status = Number(/HTTP\/[\d.]+ (\d+)(?![\s\S]*HTTP\/)/.exec(head)?.[1] ?? 0);
      resolve({ code, status, headers: head, body: split < 0 ? '' : stdout.slice(end + 4) });
    });
  });
}

/** A request as an upstream app saw it. */
export type Heard = { method: string; url: string; headers: http.IncomingHttpHeaders; raw: string[]; body: string };

export type App = { port: number; heard: Heard[]; server: http.Server; sockets: Set<net.Socket> };

/** A node:http app on loopback that writes down what it hears; closed after the test. */
export async function startApp(
  t: TestContext,
  answer?: (heard: Heard, response: http.ServerResponse) => void,
  address = '127.0.0.1',
): Promise<App> {
  const heard: Heard[] = [];
  const sockets = new Set<net.Socket>();
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (data: string) => {
      body += data;
    });
    request.on('end', () => {
      const one = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        raw: request.rawHeaders,
        body,
      };
      heard.push(one);
      if (answer === undefined) response.end('ok');
      else answer(one, response);
    });
  });
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const port = await listen(
    t,
    server,
    () => {
      for (const socket of sockets) socket.destroy();
    },
    address,
  );
  return { port, heard, server, sockets };
}

/** An app that speaks raw bytes: `onSocket` sees every connection. */
export async function startRawApp(t: TestContext, onSocket: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  return listen(t, server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

/** A loopback port that nothing listens on. */
export async function deadPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A client that writes raw bytes; `received` grows. */
export async function rawClient(
  t: TestContext,
  port: number,
): Promise<{ socket: net.Socket; received(): string; ended(): boolean }> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let received = '';
  let ended = false;
  socket.on('data', (data) => {
    received += data.toString('latin1');
  });
  socket.on('end', () => {
    ended = true;
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  t.after(() => socket.destroy());
  return { socket, received: () => received, ended: () => ended };
}

async function listen(t: TestContext, server: net.Server, cleanUp: () => void, address = '127.0.0.1'): Promise<number> {
  server.listen(0, address);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    cleanUp();
  });
  return (server.address() as net.AddressInfo).port;
}
