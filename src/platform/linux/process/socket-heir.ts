import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { COMMAND } from '#model/settings/host.ts';
import type { HandedSocket, Handover } from '#protocol/api/agent.ts';

/** What a process may do for the one that comes after it. */
export type Legacy = {
  /** Asked once: the next process is there. Returns what it may take, open until `taken`. */
  give(): HandedSocket[];
  /** It has them, or has had the time. */
  taken(): void;
};

/**
 * Offers sockets of this process to the first process of its network namespace that asks under `name`; from other namespaces nobody
 * can, so the namespace must be this part's own. Returns the end of the offer. Errors: EADDRINUSE while another process offers some.
 */
export async function offerSockets(name: string, { give, taken }: Legacy, takeMs: number): Promise<() => void> {
  const server = createServer((heir) => {
    if (!server.listening) return void heir.destroy(); // there is one heir
    server.close(); // first: the heir offers under the same name
    const late = setTimeout(() => heir.destroy(), takeMs);
    heir.on('error', () => {}); // ends it as well
    heir.once('close', () => {
      clearTimeout(late);
      taken();
    });
    heir.resume().end(`${JSON.stringify({ pid: process.pid, sockets: give() } satisfies Handover)}\n`);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(addressOf(name), resolve));
  server.on('error', () => {}); // one that could not be accepted has its own error
  server.unref();
  return () => void server.close();
}

/**
 * Asks the process that offers sockets under `name` in this network namespace; `handover` null: nobody does. `taken` is to be called
 * when they are.
 */
export async function askForSockets(name: string): Promise<{ handover: Handover | null; taken(): void }> {
  const former = connect({ path: addressOf(name), allowHalfOpen: true });
  former.setTimeout(COMMAND.statusMs, () => former.destroy());
  const handover = await readAll(former).then(
    (text) => (text === '' ? null : (JSON.parse(text) as Handover)),
    () => null,
  );
  return { handover, taken: () => void former.destroy() };
}

/** Says in a file that this process ends, by its id; false when somebody has said so before, or it cannot be said. */
export function announceEnd(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx', mode: 0o600 });
    return true;
  } catch {
    return false; // nobody would look for it
  }
}

async function readAll(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  socket.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  socket
    .once('end', () => resolve(text))
    .once('error', reject)
    .once('close', () => reject(new Error('it has ended')));
  return promise;
}

/** A name without a file: it ends with its process, and is known in one network namespace only. */
function addressOf(name: string): string {
  return `\0weft-${name}`;
}
