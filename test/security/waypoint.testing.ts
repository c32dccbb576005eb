/**
 * What the attacks on waypoints share: a waypoint, a service behind it, and a server that tells which path it was asked for.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { END_STREAM, FRAME_TYPE, type Frame, frameBytes, framesIn, settingsAndAck } from '#platform/http2/frames.testing.ts';
import { waypointLogPath } from '#protocol/api/places.ts';
import type { Header } from '#protocol/http/v2/field.ts';
import { HpackDecoder } from '#protocol/http/v2/hpack-decoder.ts';
import { encodeHeaders } from '#protocol/http/v2/hpack-encoder.ts';
import type { App } from '#testbed/lab/app.ts';
import { ask } from './dialling.testing.ts';
import type { AttackedMesh } from './mesh.testing.ts';

const END_HEADERS = 4;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** A Gateway `waypoint` of the namespace, for services. */
export const GATEWAY_YAML = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: attacks, labels: { istio.io/waypoint-for: service } }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
`;

/** How a service of HTTP on the workloads with label app=web differs from the others. */
export type WebService = { name: string; vip: string | null; bound: boolean };

/** A service over the workloads of \`web\`; \`vip\` null: headless. */
export function webServiceYaml({ name, vip, bound }: WebService): string {
  const labels = bound ? 'istio.io/use-waypoint: waypoint' : '';
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks, labels: { ${labels} } }
spec:
  clusterIP: ${vip ?? 'None'}
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 7000 }]
`;
}

/** A policy \`name\` whose spec is given. */
export function policySpecYaml(name: string, spec: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: attacks }
spec: { ${spec} }
`;
}

/** An HTTP server on port 7000 whose answer is the target it was asked for, as it came. */
export const WEB_PROGRAM = [
  process.execPath,
  '-e',
  `require('node:http').createServer((request, response) => response.end(request.url)).listen(7000, '::', () =>
    console.log(JSON.stringify({ event: 'listening', pid: process.pid })))`,
];

/** A service bound to the waypoint, over the workloads of a label \`app\`, whose port 80 speaks this protocol. */
export function boundServiceYaml(name: string, vip: string, app: string, appProtocol: string, targetPort: number): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks, labels: { istio.io/use-waypoint: waypoint } }
spec:
  clusterIP: ${vip}
  selector: { app: ${app} }
  ports: [{ name: http, port: 80, targetPort: ${targetPort}, appProtocol: ${appProtocol} }]
`;
}

/** The waypoint is the process that it was, and took nothing that happened for a mistake of its own. */
export async function waypointLives(mesh: AttackedMesh): Promise<void> {
  const [waypoint] = (await mesh.controlStatus()).waypoints;
  assert.deepEqual([waypoint?.state, waypoint?.restarts], ['running', 0]);
  const log = await waypointLog(mesh);
  assert.ok(!log.includes('a mistake of this program'), log);
}

/** What the waypoint has written. */
export function waypointLog(mesh: AttackedMesh): Promise<string> {
  return readFile(waypointLogPath(mesh.lab.paths.stateDir, { namespace: 'attacks', name: 'waypoint' }), 'utf8');
}

/** What came back over one connection; `closed`: by the other side. */
export type Heard = { bytes: Buffer; closed: boolean };

let said = 0;

/** Says bytes to a server from a running `raw-client`, until nothing has come for `quietMs`. */
export async function say(app: App, host: string, bytes: Buffer | string, quietMs = 500): Promise<Heard> {
  const as = `heard-${++said}`;
  const line = JSON.stringify({ as, host, port: 80, bytes: Buffer.from(bytes).toString('base64'), quietMs });
  const answer = await ask<Readonly<Record<string, { bytes: string; closed: boolean }>>>(app.child, line, as);
  const { bytes: base64 = '', closed = false } = answer[as] ?? {};
  return { bytes: Buffer.from(base64, 'base64'), closed };
}

/** A request of HTTP/2 by hand: its header blocks and its body. */
export type Request2 = { head: readonly Header[]; body?: string; trailers?: readonly Header[] };

/** All that a client of HTTP/2 says over a connection on which it asks these, one after the other. */
export function requests2(requests: readonly Request2[]): Buffer {
  const frames = requests.flatMap(({ head, body, trailers }, at): Frame[] => {
    const stream = 1 + 2 * at;
    const block = (headers: readonly Header[], last: boolean): Frame => {
      const flags = END_HEADERS | (last ? END_STREAM : 0);
      return { type: FRAME_TYPE.headers, flags, stream, payload: encodeHeaders(headers) };
    };
    const data = {
      type: FRAME_TYPE.data,
      flags: trailers === undefined ? END_STREAM : 0,
      stream,
      payload: Buffer.from(body ?? ''),
    };
    if (body === undefined) return [block(head, true)];
    return [block(head, false), data, ...(trailers === undefined ? [] : [block(trailers, true)])];
  });
  return Buffer.concat([Buffer.from(PREFACE), settingsAndAck(), ...frames.map(frameBytes)]);
}

/** An answer of HTTP/2 as it came; `whole`: with its END_STREAM. */
export type Answer2 = { status: string; body: string; trailers: readonly Header[]; whole: boolean };

/** The answers in what a server said, by stream. */
export function answers2({ bytes }: Heard): ReadonlyMap<number, Answer2> {
  const answers = new Map<number, Answer2>();
  const decoder = new HpackDecoder(65_536);
  for (const { type, flags, stream, payload } of framesIn(bytes, false)) {
    if (stream === 0 || (type !== FRAME_TYPE.headers && type !== FRAME_TYPE.data)) continue;
    const answer = answers.get(stream) ?? { status: '', body: '', trailers: [], whole: false };
    answers.set(stream, answer);
    if (type === FRAME_TYPE.data) answer.body += payload.toString('latin1');
    else {
      const headers = (decoder.decode(payload) ?? []).map(([name, value]): Header => [name, value]);
      if (answer.status === '') answer.status = headers.find(([name]) => name === ':status')?.[1] ?? '';
      else answer.trailers = headers;
    }
    answer.whole ||= (flags & END_STREAM) !== 0;
  }
  return answers;
}
