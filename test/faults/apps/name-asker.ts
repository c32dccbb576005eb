/**
 * Asks the resolver of its workload and prints what it answers, one line of JSON a question. Arguments: `udp` or `tcp`, then
 * types and names in turn. Over TCP all questions go over one connection, and are sent at once.
 */
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { once } from 'node:events';
import { connect } from 'node:net';
import dnsPacket from 'dns-packet';

const [transport = 'udp', ...asked] = process.argv.slice(2);
const [nameserver = ''] = getServers();
const DEADLINE_MS = 8_000;

const questions = Array.from({ length: asked.length / 2 }, (_, at) => ({
  type: asked[2 * at] as 'A',
  name: asked[2 * at + 1] ?? '',
}));
const queryOf = (at: number): Buffer =>
  dnsPacket.encode({
    type: 'query',
    id: at + 1,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [questions[at] ?? { type: 'A', name: '' }],
  });

function tell(bytes: Buffer, sinceMs: number): void {
  const packet = dnsPacket.decode(bytes);
  const answers = (packet.answers ?? []).map((one) => ('data' in one ? String(one.data) : one.type));
  const asking = questions[(packet.id ?? 0) - 1];
  const ms = Math.round(performance.now() - sinceMs);
  console.log(JSON.stringify({ ...asking, transport, rcode: Reflect.get(packet, 'rcode'), answers, ms }));
}

async function askByDatagram(at: number): Promise<void> {
  const socket = createSocket(nameserver.includes(':') ? 'udp6' : 'udp4');
  const sinceMs = performance.now();
  socket.send(queryOf(at), 53, nameserver);
  const [bytes] = await once(socket, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) });
  socket.close();
  tell(bytes, sinceMs);
}

async function askByStream(): Promise<void> {
  const socket = connect({ host: nameserver, port: 53 });
  const sinceMs = performance.now();
  for (let at = 0; at < questions.length; at++) {
    const query = queryOf(at);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  }
  let pending = Buffer.alloc(0);
  let answered = 0;
  const late = setTimeout(() => socket.destroy(new Error('no answer')), DEADLINE_MS);
  for await (const chunk of socket) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0);
      tell(pending.subarray(2, end), sinceMs);
      pending = pending.subarray(end);
      answered++;
    }
    if (answered === questions.length) break;
  }
  clearTimeout(late);
}

if (transport === 'tcp') await askByStream();
else await Promise.all(questions.map((_, at) => askByDatagram(at)));
