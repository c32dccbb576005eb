import type { Socket } from 'node:dgram';
import { type IpAddress, tryParseIp } from '#model/address/ip.ts';

/** Who asked. */
type Asker = { ip: IpAddress; port: number };

/** How datagrams are answered, and who hears of those that were not. */
export type DatagramAnswers = {
  /** The answer to one datagram; null: none. */
  answer(query: Buffer, asker: Asker): Promise<Buffer | null>;
  /** What went wrong over one datagram; only that one is lost. */
  dropped(error: unknown): void;
};

/**
 * Answers each datagram of a bound socket for as long as it is open, and returns how to close it.
 *
 * An answer may be ready long after its question, when the workload, and with it the socket, is gone: a closed socket throws
 * (ERR_SOCKET_DGRAM_NOT_RUNNING), as does one that is asked to send to a port 0, which anybody with a raw socket can ask
 * from. Neither is more than this one datagram's.
 */
export function answerDatagrams(socket: Socket, { answer, dropped }: DatagramAnswers): () => void {
  let open = true;
  // A failed read is that of one datagram (ICMP errors arrive here): the next one is read as ever.
  socket.on('error', dropped);
  const reply = async (query: Buffer, asker: Asker, address: string): Promise<void> => {
    const bytes = await answer(query, asker);
    if (bytes === null || !open) return;
    socket.send(bytes, asker.port, address, (error) => {
      if (error !== null) dropped(error);
    });
  };
  socket.on('message', (query, sender) => {
    const ip = tryParseIp(sender.address);
    if (ip === null) return; // link-local: a zone is no part of the mesh's addresses
    reply(query, { ip, port: sender.port }, sender.address).catch(dropped);
  });
  return () => {
    if (!open) return;
    open = false;
    socket.close();
  };
}
