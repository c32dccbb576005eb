import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { Dial, StreamState } from './protocol.ts';

const TICK_MS = 50;
/** Every tick is one byte, so that echoes can be counted without framing. */
const TICK = Buffer.from('.');

/** A long-lived connection to an echo service: a byte every 50 ms, and a record of what came back. */
export type Stream = { state(): StreamState; close(): void };

/** Opens a stream and resolves when the greeting has come, or with the reason why not (errno's name or `CLOSED`). */
export function openStream(dial: Dial): Promise<Stream | string> {
  const socket = connect({ ...dial, noDelay: true });
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
    socket.once('error', failed);
    socket.once('end', () => resolve('CLOSED'));
    let greeting = '';
    const onGreeting = (bytes: Buffer): void => {
      greeting += bytes.toString('latin1');
      if (!greeting.endsWith('\n')) return;
      socket.off('data', onGreeting).off('error', failed);
      resolve(tick(socket));
    };
    socket.on('data', onGreeting);
  });
}

function tick(socket: Socket): Stream {
  const state: StreamState = { open: true, how: null, closedAtMs: null, ticksSent: 0, ticksEchoed: 0, gapMsMax: 0 };
  let lastEchoMs = Date.now();
  const timer = setInterval(() => {
    state.ticksSent++;
    socket.write(TICK);
  }, TICK_MS);
  const closed = (how: string): void => {
    clearInterval(timer);
    if (!state.open) return;
    Object.assign(state, { open: false, how, closedAtMs: Date.now() });
    socket.destroy();
  };
  socket.on('data', (bytes: Buffer) => {
    const nowMs = Date.now();
    state.gapMsMax = Math.max(state.gapMsMax, nowMs - lastEchoMs);
    lastEchoMs = nowMs;
    state.ticksEchoed += bytes.length;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => closed(error.code ?? error.message));
  socket.on('end', () => closed('CLOSED'));
  socket.on('close', () => closed('CLOSED'));
  return {
    // A silence that still lasts counts too: a frozen stream must not look healthy.
    state: () => ({ ...state, gapMsMax: state.open ? Math.max(state.gapMsMax, Date.now() - lastEchoMs) : state.gapMsMax }),
    close: () => closed('BY_PROBE'),
  };
}
