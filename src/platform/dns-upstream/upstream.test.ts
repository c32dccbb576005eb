import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import test, { after } from 'node:test';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { WeftError } from '#model/error.ts';
import type { Nameserver } from '#platform/dns-upstream/resolv-conf.ts';
import { createDnsUpstream, type DnsUpstreamOptions, ownNamespaceSockets } from '#platform/dns-upstream/upstream.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { frameMessage } from '#protocol/dns/frame.ts';
import { withId } from '#protocol/dns/upstream-reply.ts';

const TRUNCATED = 0x0200;
const BIND_ATTEMPTS = 10;
const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

type Behaviour = {
  udp?: (query: Buffer, reply: (bytes: Buffer) => void, from: RemoteInfo) => void;
  tcp?: (query: Buffer, socket: Socket) => void;
};

/** A DNS server on one loopback port, over UDP and, when asked for, TCP. */
async function startServer(
  behaviour: Behaviour,
  family: 4 | 6 = 4,
): Promise<Nameserver & { asked: string[]; socket: UdpSocket }> {
  const address = family === 4 ? '127.0.0.1' : '::1';
  const asked: string[] = [];
  const server = createServer((connection) => {
    connection.on('error', () => {});
    connection.on('data', (chunk) => {
      asked.push('tcp');
      behaviour.tcp?.(chunk.subarray(2), connection);
    });
  });
  const socket = await boundTo(family, address, behaviour.tcp === undefined ? null : server);
  socket.on('message', (query, from) => {
    asked.push('udp');
    behaviour.udp?.(query, (bytes) => socket.send(bytes, from.port, from.address), from);
  });
  return { address, port: socket.address().port, asked, socket };
}

/** A UDP socket, and if one is given a server that listens at the same port: others may have taken the one of these and not the other. */
async function boundTo(family: 4 | 6, address: string, server: Server | null): Promise<UdpSocket> {
  for (let attempt = 0; ; attempt++) {
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6').bind(0, address);
    await once(socket, 'listening');
    try {
      if (server !== null) {
        await once(server.listen(socket.address().port, address), 'listening');
        closers.push(() => server.close());
      }
      closers.push(() => socket.close());
      return socket;
    } catch (error) {
      socket.close();
      if (attempt === BIND_ATTEMPTS) throw error;
    }
  }
}

/** A port of loopback on which nobody listens. */
async function deadServer(): Promise<Nameserver> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { address, port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return { address, port };
}

const QUERY = encode({
  type: 'query',
  id: 0x0102,
  flags: RECURSION_DESIRED,
  questions: [{ type: 'A', name: 'Example.org', class: 'IN' }],
});

function answer(query: Buffer, data: string, flags = 0): Buffer {
  const { id = 0, questions = [] } = decode(query);
  const name = questions[0]?.name ?? '';
  return encode({
    type: 'response',
    id,
    flags,
    questions,
    answers: data === '' ? [] : [{ type: 'A', name, ttl: 9, class: 'IN', data }],
  });
}

function upstreamOf(nameservers: readonly Nameserver[], more: Partial<DnsUpstreamOptions> = {}) {
  const clock = new SteppedClock();
  const resolvConf = { current: async () => ({ nameservers, timeoutMs: 5_000, attempts: 2 }) };
  const upstream = createDnsUpstream({ resolvConf, sockets: ownNamespaceSockets, clock, ...more });
  const ask = (transport: 'udp' | 'tcp' = 'udp', signal = new AbortController().signal) =>
    upstream.exchange(QUERY, { workload: 'w', transport, signal });
  return { clock, ask };
}

function summary(reply: Buffer) {
  const packet = decode(reply);
  const record = packet.answers?.[0];
  return {
    id: packet.id,
    rcode: Reflect.get(packet, 'rcode'),
    data: record !== undefined && 'data' in record ? record.data : null,
  };
}

test('a reply comes back under the id of the query, over IPv4 and IPv6', async () => {
  for (const family of [4, 6] as const) {
    const server = await startServer({ udp: (query, reply) => reply(answer(query, '192.0.2.1')) }, family);
    assert.deepEqual(summary(await upstreamOf([server]).ask()), { id: 0x0102, rcode: 'NOERROR', data: '192.0.2.1' });
  }
});

test('each query has an id and a source port of its own', async () => {
  const [ids, ports] = [new Set<number>(), new Set<number>()];
  const server = await startServer({
    udp(query, reply, from) {
      ids.add(query.readUInt16BE(0));
      ports.add(from.port);
      reply(answer(query, '192.0.2.1'));
    },
  });
  const { ask } = upstreamOf([server]);
  await Promise.all(Array.from({ length: 20 }, () => ask()));
  assert.ok(ids.size >= 18 && ports.size >= 18, `${ids.size} ids, ${ports.size} ports`);
});

test('forged and foreign replies are ignored: another id, another question, another sender', async () => {
  const server = await startServer({
    udp(query, reply, from) {
      const stranger = createSocket('udp4');
      stranger.send(answer(query, '192.0.2.66'), from.port, from.address, () => {
        stranger.close();
        reply(withId(answer(query, '192.0.2.67'), query.readUInt16BE(0) ^ 1));
        reply(encode({ ...decode(answer(query, '192.0.2.68')), questions: [{ type: 'A', name: 'evil.org', class: 'IN' }] }));
        reply(answer(query, '192.0.2.1'));
      });
    },
  });
  assert.equal(summary(await upstreamOf([server]).ask()).data, '192.0.2.1');
});

test('a truncated reply is fetched again over TCP', async () => {
  const server = await startServer({
    udp: (query, reply) => reply(answer(query, '', TRUNCATED)),
    tcp: (query, socket) => socket.end(frameMessage(answer(query, '192.0.2.2'))),
  });
  assert.equal(summary(await upstreamOf([server]).ask()).data, '192.0.2.2');
  assert.deepEqual(server.asked, ['udp', 'tcp']);
});

test('without TCP, the truncated reply is passed on', async () => {
  const server = await startServer({ udp: (query, reply) => reply(answer(query, '', TRUNCATED)) });
  assert.equal(decode(await upstreamOf([server]).ask()).flag_tc, true);
});

test('a query that came over TCP goes out over TCP, in pieces or not', async () => {
  const server = await startServer({
    tcp(query, socket) {
      const framed = frameMessage(answer(query, '192.0.2.3'));
      socket.write(framed.subarray(0, 1));
      setImmediate(() => socket.write(framed.subarray(1)));
    },
  });
  assert.equal(summary(await upstreamOf([server]).ask('tcp')).data, '192.0.2.3');
  assert.deepEqual(server.asked, ['tcp']);
});

test('NXDOMAIN is an answer: no other nameserver is asked', async () => {
  const first = await startServer({ udp: (query, reply) => reply(answer(query, '', 3)) });
  const second = await startServer({ udp: (query, reply) => reply(answer(query, '192.0.2.4')) });
  assert.equal(summary(await upstreamOf([first, second]).ask()).rcode, 'NXDOMAIN');
  assert.deepEqual(second.asked, []);
});

test('nameservers are tried in order: past one that is dead, past one that refuses', async () => {
  const refusing = await startServer({ udp: (query, reply) => reply(answer(query, '', 5)) });
  const good = await startServer({ udp: (query, reply) => reply(answer(query, '192.0.2.5')) });
  assert.equal(summary(await upstreamOf([await deadServer(), refusing, good]).ask()).data, '192.0.2.5');
});

test('when all refuse, the first refusal is passed on', async () => {
  const failing = await startServer({ udp: (query, reply) => reply(answer(query, '', 2)) });
  const refusing = await startServer({ udp: (query, reply) => reply(answer(query, '', 5)) });
  assert.equal(summary(await upstreamOf([failing, refusing]).ask()).rcode, 'SERVFAIL');
});

test('past one that is silent, after its time', async () => {
  const asked = Promise.withResolvers<void>();
  const silent = await startServer({ udp: () => asked.resolve() });
  const good = await startServer({ udp: (query, reply) => reply(answer(query, '192.0.2.6')) });
  const { ask, clock } = upstreamOf([silent, good]);
  const reply = ask();
  await asked.promise;
  clock.advance(1_500);
  assert.equal(summary(await reply).data, '192.0.2.6');
});

test('when none replies the error says so, for each of them', async () => {
  const { ask } = upstreamOf([await deadServer()]);
  await assert.rejects(ask(), (error) => {
    assert.ok(error instanceof WeftError);
    assert.equal(error.code, 'WEFT_DNS_UPSTREAM');
    assert.match(error.message, /127\.0\.0\.1: .*ECONNREFUSED/);
    assert.match(error.remedy ?? '', /nameserver/);
    return true;
  });
  await assert.rejects(upstreamOf([await deadServer()]).ask('tcp'), /ECONNREFUSED/);
  await assert.rejects(upstreamOf([]).ask(), /names no nameserver/);
});

test('a nameserver that closes its connection without an answer is a failure', async () => {
  const server = await startServer({ tcp: (_, socket) => socket.destroy() });
  await assert.rejects(upstreamOf([server]).ask('tcp'), /WEFT_DNS_UPSTREAM|closed|ended|ECONNRESET/);
});

test('an aborted query stops at once and sends nothing further', async () => {
  const asked = Promise.withResolvers<void>();
  const silent = await startServer({ udp: () => asked.resolve() });
  const other = await startServer({ udp: (query, reply) => reply(answer(query, '192.0.2.7')) });
  const abort = new AbortController();
  const reply = upstreamOf([silent, other]).ask('udp', abort.signal);
  await asked.promise;
  abort.abort(new Error('given up'));
  await assert.rejects(reply, /given up/);
  assert.deepEqual(other.asked, []);
});

test('S17: a nameserver that there is no way to is passed over: nothing is thrown beside the query', async () => {
  // Connecting to broadcast fails as a missing route does: the error comes to the callback of connect(), and nowhere else.
  const unreachable = { address: '255.255.255.255', port: 53 };
  const fine = await startServer({ udp: (query, reply) => reply(answer(query, '192.0.2.7')) });
  assert.equal(summary(await upstreamOf([unreachable, fine]).ask()).data, '192.0.2.7');
  await assert.rejects(upstreamOf([unreachable]).ask(), /WEFT_DNS_UPSTREAM|EACCES/);
});
