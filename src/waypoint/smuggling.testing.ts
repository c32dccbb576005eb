import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import type { TestContext } from 'node:test';
import type { L7Operation, L7Policy, PathNormalization } from '#model/waypoint/config.ts';
import { type Rig, type RigOptions, rule, startRig, to } from './waypoint-rig.testing.ts';

/** A waypoint that judges and routes, and before it an app that reads with a parser of others (node:http). */
export type Guarded = {
  rig: Rig;
  /** What the app got whole, as `METHOD target host [body]`, with `routed` behind it where its route says so. */
  heard: string[];
  /** What a rule forbids of that: always empty. */
  leaked: string[];
};

const ROUTED = { set: [], add: [{ name: 'x-route', value: 'routed' }], remove: [] };

function denied(change: Partial<L7Operation>): L7Policy {
  const any = { hosts: [], notHosts: [], ports: [], notPorts: [], methods: [], notMethods: [], paths: [], notPaths: [] };
  return {
    namespace: 'shop',
    name: 'guard',
    action: 'deny',
    dryRun: false,
    rules: [{ from: [], to: [{ ...any, ...change }], when: [] }],
  };
}

/** Refused are paths that begin with /admin, the host `secret` and the method DELETE; /routed has a route of its own. */
export async function startGuarded(
  t: TestContext,
  pathNormalization: PathNormalization,
  options: RigOptions = {},
): Promise<Guarded> {
  const policies = [denied({ paths: ['/admin*'] }), denied({ hosts: ['secret'] }), denied({ methods: ['DELETE'] })];
  const routes = [
    rule({ path: { type: 'prefix', value: '/routed' } }, [to('cart')], { requestHeaders: ROUTED }),
    rule({}, [to('cart')]),
  ];
  const rig = await startRig({ policies, routes, config: { pathNormalization }, ...options });
  t.after(() => rig.close());
  const guarded: Guarded = { rig, heard: [], leaked: [] };
  rig.endpoints([await startApp(t, guarded)]);
  return guarded;
}

async function startApp(t: TestContext, { heard, leaked }: Guarded): Promise<number> {
  const server = http.createServer({ requireHostHeader: false }, (request, response) => {
    const { method = '', url = '', headers } = request;
    let body = '';
    request.setEncoding('latin1').on('data', (data: string) => {
      body += data;
    });
    request.on('end', () => {
      heard.push(`${method} ${url} ${headers.host} [${body}]${headers['x-route'] === undefined ? '' : ' routed'}`);
      if (method === 'DELETE' || headers.host === 'secret' || /^\/admin/.test(url)) leaked.push(`${method} ${url}`);
      if (Object.keys(request.trailers).length > 0) leaked.push(`trailers ${JSON.stringify(request.trailers)}`);
      response.end(url);
    });
  });
  // A body that ends where nobody said so, or a second request within one: what was smuggled.
  server.on('clientError', (error, socket) => {
    if (!/ECONNRESET/.test(String(error)) && 'bytesParsed' in error) leaked.push(`broken ${error.message}`);
    socket.destroy();
  });
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as net.AddressInfo).port;
}

/** The statuses and bodies of responses that are whole in what came, and how many bytes they are. */
export function statusesOf(received: string): { statuses: number[]; bodies: string[]; bytes: number } {
  const statuses: number[] = [];
  const bodies: string[] = [];
  let at = 0;
  for (;;) {
    const headEnd = received.indexOf('\r\n\r\n', at) + 4;
    const head = received.slice(at, headEnd);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? 0);
    const end = bodyEnd(received, head, headEnd);
    if (status === 0 || end < headEnd || end > received.length) return { statuses, bodies, bytes: at };
    statuses.push(status);
    bodies.push(received.slice(headEnd, end));
    at = end;
  }
}

/** Where the body ends that begins at `start`; -1: not yet. */
function bodyEnd(received: string, head: string, start: number): number {
  if (!/\r\ntransfer-encoding: chunked/i.test(head)) return start + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
  const last = received.indexOf('0\r\n\r\n', start);
  return last < 0 ? -1 : last + 5;
}
