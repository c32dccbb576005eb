// The resolver of the world outside the mesh: knows one name, says NXDOMAIN to the rest, and tells what it was asked.
//   node dns-server.ts ADDRESS PORT NAME A AAAA
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import { answerQuery, readFrames, type Zone } from './dns-answer.ts';

const [address = '127.0.0.1', portText = '53', name = '', a = '', aaaa = ''] = process.argv.slice(2);
const port = Number(portText);
const zone: Zone = { name, a, aaaa };

/** Tells what was asked before it answers: the checks read it in the log. */
function answer(query: Buffer, transport: string): Buffer {
  const { question, reply } = answerQuery(zone, query);
  process.stdout.write(`${JSON.stringify({ event: 'query', transport, ...question })}\n`);
  return reply;
}

const udp = createSocket('udp4');
udp.on('message', (query, from) => udp.send(answer(query, 'udp'), from.port, from.address));
udp.bind(port, address);

const tcp = createServer((socket: Socket) => {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    const { frames, rest } = readFrames(Buffer.concat([pending, bytes]));
    pending = rest;
    for (const query of frames) {
      const reply = answer(query, 'tcp');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([length, reply]));
    }
  });
});
tcp.listen({ port, host: address }, () => {
  process.stdout.write(`${JSON.stringify({ event: 'listening', service: 'dns', port, pid: process.pid })}\n`);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));
