import type { Socket } from 'node:dgram';
import type { Duplex } from 'node:stream';
import type { Nameserver } from '#platform/dns-upstream/resolv-conf.ts';
import { createFrameReader, frameMessage } from '#protocol/dns/frame.ts';
import { checkReply } from '#protocol/dns/upstream-reply.ts';
import { MESSAGE_BYTES_MAX } from '#protocol/dns/wire.ts';

/** A reply that matches its query; the bytes still carry the id that was sent. */
export type UpstreamReply = { bytes: Buffer; truncated: boolean; rcode: number };

/** Sends `query` in one datagram and waits for its reply; anything else that arrives is ignored. Closes the socket. */
export async function exchangeUdp(
  socket: Socket,
  nameserver: Nameserver,
  query: Buffer,
  signal: AbortSignal,
): Promise<UpstreamReply> {
  try {
    return await settled<UpstreamReply>(signal, (resolve, reject) => {
      socket.on('error', reject); // with a connected socket also ECONNREFUSED from ICMP
      socket.on('message', (bytes) => {
        const check = checkReply(query, bytes);
        if (check.kind === 'reply') resolve({ ...check, bytes });
      });
      // Connected: the kernel drops whatever does not come from the nameserver.
      socket.connect(nameserver.port, nameserver.address, (error?: Error | null) => {
        if (error)
          reject(error); // no route (ENETUNREACH): told here only, and the socket is not connected
        else sendConnected(socket, query, reject);
      });
    });
  } finally {
    socket.removeAllListeners('error').on('error', () => {}); // the outcome is settled, and the socket of no more use
    socket.close();
  }
}

/** An unconnected or closed socket throws instead of telling: nothing above this callback would catch that. */
function sendConnected(socket: Socket, query: Buffer, reject: (error: Error) => void): void {
  try {
    socket.send(query, (error) => error && reject(error));
  } catch (error) {
    reject(error instanceof Error ? error : new Error(String(error)));
  }
}

/** The same over a stream. Destroys it. */
export async function exchangeTcp(stream: Duplex, query: Buffer, signal: AbortSignal): Promise<UpstreamReply> {
  const reader = createFrameReader(MESSAGE_BYTES_MAX);
  stream.on('error', () => {}); // before anything can throw: a dial that fails after we gave up has nobody else to tell
  try {
    return await settled<UpstreamReply>(signal, (resolve, reject) => {
      stream.on('error', reject);
      stream.on('close', () => reject(new Error('the nameserver closed the connection')));
      stream.on('end', () => reject(new Error('the nameserver ended the connection')));
      stream.on('data', (chunk: Buffer) => {
        const reading = reader.push(chunk);
        if (reading.kind === 'broken') return reject(new Error(`the nameserver sent ${reading.why}`));
        for (const bytes of reading.messages) {
          const check = checkReply(query, bytes);
          if (check.kind === 'reply') resolve({ ...check, bytes });
        }
      });
      stream.write(frameMessage(query));
    });
  } finally {
    stream.destroy();
  }
}

type Start<T> = (resolve: (value: T) => void, reject: (error: Error) => void) => void;

async function settled<T>(signal: AbortSignal, start: Start<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const aborted = (): void => reject(signal.reason);
  signal.addEventListener('abort', aborted, { once: true });
  try {
    start(resolve, reject);
    return await promise;
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}
