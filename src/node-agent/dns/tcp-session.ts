import type { Duplex } from 'node:stream';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { DNS } from '#model/settings/dns.ts';
import { createFrameReader, frameMessage } from '#protocol/dns/frame.ts';

/** One connection of a workload, and how its queries are answered. */
export type TcpSession = {
  stream: Duplex;
  respond(query: Buffer): Promise<Buffer | null>;
  clock: Clock;
  /** A mistake of ours; the stream is closed. */
  mistaken(error: unknown): void;
  /** The stream could not be followed, and is closed. */
  broken(why: string): void;
};

/** Answers queries on one connection until it ends, idles or breaks; settles when it is closed. Never rejects. */
export async function serveTcpSession(session: TcpSession): Promise<void> {
  const closed = new Promise<void>((resolve) => session.stream.once('close', resolve));
  if (session.stream.destroyed) return;
  const stop = startSession(session);
  await closed;
  stop();
}

function startSession({ stream, respond, clock, mistaken, broken }: TcpSession): Cancel {
  const reader = createFrameReader(DNS.queryBytesMax);
  const waiting: Buffer[] = []; // bounded by one chunk: the stream is paused while it is not empty
  let running = 0;
  let ended = false;
  let idle: Cancel = () => {};
  const fail = (error: unknown): void => {
    mistaken(error);
    stream.destroy();
  };
  const progressed = (): void => {
    idle();
    // A query that an upstream works on is no idleness, however long it takes.
    idle = clock.after(DNS.tcpIdleMs, () => (running === 0 ? stream.destroy() : progressed()));
  };
  const answer = async (query: Buffer): Promise<void> => {
    running++;
    const reply = await respond(query).catch(() => null); // told as a failure of that query already; the client asks again
    running--;
    if (reply !== null && stream.writable) stream.write(frameMessage(reply));
    progressed();
    pump();
  };
  // One place decides whether more is read: replies that the client does not take hold its next queries back.
  const pump = (): void => {
    while (running < DNS.queriesAtOnceMax && !stream.writableNeedDrain) {
      const query = waiting.shift();
      if (query === undefined) break;
      answer(query).catch(fail);
    }
    if (waiting.length > 0 || stream.writableNeedDrain) stream.pause();
    else if (!ended) stream.resume();
    else if (running === 0) stream.end();
  };
  const take = (chunk: Buffer): void => {
    const reading = reader.push(chunk);
    if (reading.kind === 'broken') {
      broken(reading.why);
      stream.destroy();
      return;
    }
    waiting.push(...reading.messages);
    if (reading.messages.length > 0) progressed();
    pump();
  };
  stream.on('data', (chunk: Buffer) => {
    try {
      take(chunk);
    } catch (error) {
      fail(error);
    }
  });
  stream.on('end', () => {
    ended = true;
    pump();
  });
  stream.on('drain', pump);
  stream.on('error', () => stream.destroy()); // the client went away; there is nobody to tell
  progressed();
  return () => idle();
}
