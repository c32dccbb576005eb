import { createServer, type Server, type Socket } from 'node:net';
import { tryParseIp } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import type { Doorkeeper, Waiting } from '#model/guard/doorkeeper.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { DOOR } from '#model/settings/doors.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { refusalOf } from '#model/system-error.ts';
import { DOOR_CAUSES, type DoorCause } from '#model/telemetry/close-cause.ts';

/** Where connections are accepted, by whose leave, and who serves them. */
export type FrontOptions = {
  host: string;
  port: number;
  door: Doorkeeper;
  log: Log;
  /** Serves a connection that was let in. */
  serve(socket: Socket): void;
};

/** Clients are named as gRPC names them: `<address>:<port>`. */
export type Front = {
  port: number;
  /** A call of this client had a good token. */
  proved(client: string): void;
  /** A call of this client had none: after a few its connection is closed. */
  refused(client: string): void;
  /** Accepts no more, and closes those that have proved nothing. */
  close(): void;
};

type Guest = { socket: Socket; waiting: Waiting; refusals: number; hasProved: boolean };

/**
 * The listener in front of a gRPC server, which has no deadlines of its own: whoever shows no token in time is closed, whatever he
 * does meanwhile (nothing, half a handshake, a handshake and no request, bad tokens). Errors: WEFT_LISTEN.
 */
export async function openFront({ host, port, door, log, serve }: FrontOptions): Promise<Front> {
  const guests = new Map<string, Guest>();
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {}); // told by its close; a client may be gone at any time
    const guest = admit(socket, door, log);
    if (guest === null) return;
    const name = `${socket.remoteAddress}:${socket.remotePort}`;
    guests.set(name, guest);
    socket.once('close', () => {
      guests.delete(name);
      guest.waiting.ended();
    });
    serve(socket);
  });
  server.maxConnections = CONTROL.connectionsMax;
  await listen(server, host, port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    proved(client) {
      const guest = guests.get(client);
      guest?.waiting.proved();
      if (guest !== undefined) guest.hasProved = true;
    },
    refused(client) {
      const guest = guests.get(client);
      // One that was let in before is a client whose token has expired: it is told so as often as it asks.
      if (guest === undefined || guest.hasProved || ++guest.refusals < DOOR.callsRefusedMax) return;
      guest.socket.destroySoon(); // the last refusal is still to reach it
    },
    close() {
      server.close();
      for (const { socket, hasProved } of guests.values()) if (!hasProved) socket.destroy();
    },
  };
}

/** null: it was not let in. */
function admit(socket: Socket, door: Doorkeeper, log: Log): Guest | null {
  const ip = tryParseIp(socket.remoteAddress ?? '');
  const turnAway = (why: DoorCause): void => {
    socket.resetAndDestroy();
    log.warn({ peer: ip, why }, `connection to the control plane closed: ${DOOR_CAUSES[why]}`);
  };
  if (ip === null) {
    socket.destroy(); // reset before it was accepted, or link-local, by which no agent comes
    return null;
  }
  const waiting = door.enter(ip, turnAway);
  if (waiting !== null) return { socket, waiting, refusals: 0, hasProved: false };
  turnAway('too-fast');
  return null;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const remedy = 'stop what holds the port, or choose another address';
      reject(new WeftError('WEFT_LISTEN', `cannot listen on ${where}: ${refusalOf(cause)}`, { cause, remedy }));
    });
    server.listen({ host, port, backlog: TUNNEL.acceptBacklogMax }, resolve);
  });
}
