/**
 * Asks the resolver of its workload for names outside of the mesh and does not wait for answers. Arguments: a prefix of the
 * names, how many, and `stays` or `goes`: it ends as soon as all are asked. Over UDP, each from a socket of its own, and over TCP.
 */
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import dnsPacket from 'dns-packet';

/** What was sent has left the sockets after this, and nothing has been answered yet. */
const SENT_MS = 200;

const [prefix = '', count = '1', end = 'goes'] = process.argv.slice(2);
const [nameserver = ''] = getServers();

function query(name: string): Buffer {
  const questions = [{ type: 'A', name } as const];
  return dnsPacket.encode({ type: 'query', id: 1, flags: dnsPacket.RECURSION_DESIRED, questions });
}

async function askByDatagram(name: string): Promise<void> {
  const socket = createSocket(nameserver.includes(':') ? 'udp6' : 'udp4');
  await new Promise((resolve) => socket.send(query(name), 53, nameserver, resolve));
}

async function askByStream(name: string): Promise<void> {
  const bytes = query(name);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  const socket = connect({ host: nameserver, port: 53 });
  socket.on('error', () => {}); // the answer is of no interest, nor is that there is none
  await new Promise((resolve) => socket.write(Buffer.concat([length, bytes]), resolve));
}

const names = Array.from({ length: Number(count) }, (_, at) => `${prefix}-${at}.outside.example`);
await Promise.all(names.flatMap((name) => [askByDatagram(`udp-${name}`), askByStream(`tcp-${name}`)]));
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
await sleep(end === 'goes' ? SENT_MS : 600_000);
process.exit(0);
