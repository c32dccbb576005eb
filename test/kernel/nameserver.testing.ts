import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { decode, encode } from 'dns-packet';

/** A nameserver on loopback that knows IPv4 addresses of a few names. */
export class Nameserver {
  readonly records = new Map<string, string[]>();
  /** `A name`, in order. */
  readonly asked: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      const { id = 0, questions = [] } = decode(bytes);
      const [{ name, type } = { name: '', type: 'A' as const }] = questions;
      this.asked.push(`${type} ${name}`);
      const found = type === 'A' ? (this.records.get(name) ?? []) : [];
      const answers = found.map((data) => ({ type: 'A' as const, name, ttl: 60, data }));
      socket.send(encode({ type: 'response', id, questions, answers }), from.port, from.address);
    });
  }

  static async start(): Promise<Nameserver> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Nameserver(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  close(): void {
    this.#socket.close();
  }
}
