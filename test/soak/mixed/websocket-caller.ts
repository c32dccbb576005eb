/** WebSockets over HTTP/1.1 and over HTTP/2 whose every message comes back. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { sessions } from './callers.ts';
import { counted, cut, inTime, isFinishing, rest, told, windowFromHere, wrong } from './course.ts';
import { FrameReader, frameBytes, OPCODE } from './frames.ts';
import { bytesOf, objectionToVersion, PORT, SERVICES } from './versions.ts';

const MESSAGE_PAUSE_MS = 100;
const DEADLINE_MS = 20_000;
const CLOSE = Buffer.from('03e8', 'hex');

type Opened = { stream: Duplex; header: (name: string) => string | undefined };

async function overHttp1(): Promise<Opened> {
  const { promise, resolve, reject } = Promise.withResolvers<Opened>();
  request({
    ...{ host: SERVICES.web.vip, port: PORT, path: '/chat' },
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
    timeout: DEADLINE_MS,
  })
    .on('upgrade', ({ headers, statusCode }, socket, head) => {
      socket.setTimeout(0);
      if (head.length > 0) socket.unshift(head);
      if (statusCode === 101) resolve({ stream: socket, header: (name) => headers[name] as string | undefined });
    })
    .on('response', (response: IncomingMessage) => reject(new Error(`status ${response.resume().statusCode}`)))
    .on('error', reject)
    .end();
  return promise;
}

async function overHttp2(): Promise<Opened> {
  const session = sessions.web.current;
  if (session.remoteSettings.enableConnectProtocol === undefined)
    await once(session, 'remoteSettings', { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (session.closed || session.destroyed) return overHttp2(); // it was told to end before anything was asked
  const stream = session.request(
    {
      ...{ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/chat', ':authority': 'web' },
      'sec-websocket-version': '13',
    },
    { endStream: false },
  );
  const [headers] = (await once(stream, 'response', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [http2.IncomingHttpHeaders];
  if (Number(headers[':status']) !== 200) throw new Error(`status ${headers[':status']}`);
  return { stream, header: (name) => headers[name] as string | undefined };
}

async function chat(way: 'websocket1' | 'websocket2', lifeMs: number): Promise<void> {
  const window = windowFromHere();
  let opened: Opened;
  try {
    opened = await (way === 'websocket1' ? overHttp1() : overHttp2());
  } catch (error) {
    return wrong(`${way}: it does not open: ${told(error)}, in ${JSON.stringify(window())}`);
  }
  const { stream, header } = opened;
  const objection = objectionToVersion(header, window());
  if (objection !== null) wrong(`${way}: ${objection}, in ${JSON.stringify(window())}`);
  const reader = new FrameReader();
  let wake: (payload: Buffer | null) => void = () => {};
  let how = '';
  let closes = 0;
  const over = new Promise<void>((resolve) => {
    const end = (what: string) => (error?: unknown) => {
      how ||= error instanceof Error ? told(error) : what;
      wake(null);
      resolve();
    };
    stream
      .on('data', (bytes: Buffer) => {
        for (const { opcode, payload } of reader.take(bytes)) {
          if (opcode === OPCODE.close) closes++;
          else wake(payload);
        }
      })
      .on('end', end('end'))
      .on('error', end('error'))
      .on('close', end('close'));
  });
  const until = performance.now() + lifeMs;
  let messages = 0;
  while (performance.now() < until && !isFinishing() && how === '') {
    const asked = bytesOf(messages, 1 + (messages % 3_000));
    const came = new Promise<Buffer | null>((resolve) => (wake = resolve));
    stream.write(frameBytes({ opcode: OPCODE.binary, payload: asked }, true));
    const payload = await inTime(`${way}: message ${messages}`, came);
    wake = () => {};
    if (payload === null) break;
    if (!payload.equals(asked)) return wrong(`${way}: message ${messages} came back as another one`);
    messages++;
    counted('messages', way);
    await Promise.race([rest(MESSAGE_PAUSE_MS), over]);
  }
  if (how === '') {
    stream.write(frameBytes({ opcode: OPCODE.close, payload: CLOSE }, true));
    await inTime(`${way}: its end after ${messages} messages`, over);
  }
  stream.end();
  stream.destroy();
  if (closes === 1 && how === 'end') return;
  if (messages === 0) wrong(`${way}: ${how} before its first message`);
  else cut(way, `${how} after ${messages} messages`);
}

/** Of some seconds, and those that stay, over each of both. */
export function startWebSockets(): Promise<unknown>[] {
  const chatting = async (way: 'websocket1' | 'websocket2', lifeMs: () => number): Promise<void> => {
    while (!isFinishing()) {
      await chat(way, lifeMs());
      await rest(MESSAGE_PAUSE_MS);
    }
  };
  return (['websocket1', 'websocket2'] as const).flatMap((way) => [
    chatting(way, () => 200 + Math.random() * 2_300),
    chatting(way, () => Number.POSITIVE_INFINITY),
  ]);
}
