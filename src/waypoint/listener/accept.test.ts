import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test, { type TestContext } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { NOWHERE } from '#model/effects/byte-stream.ts';
import type { Log } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { NodeStream } from '#platform/io/node/node-stream.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { rawClient, startApp } from '#waypoint/clients.testing.ts';
import { type Attest, acceptLocal, acceptTunnel, type Door } from '#waypoint/listener/accept.ts';
import { Counters } from '#waypoint/self/counters.ts';
import { configOf, FRONT, type LogLine, listen, startRig, until, VIP } from '#waypoint/waypoint-rig.testing.ts';

type Accepted = Parameters<Door['accept']>[0];

/** A door that lets in what is bound for the VIP, and whoever comes writes down. */
function aDoor() {
  const accepted: Accepted[] = [];
  const lines: LogLine[] = [];
  const write = (fields: object, message: string): void => void lines.push({ ...fields, message });
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  const door: Door = {
    admit: (authority) =>
      authority === `${VIP}:80`
        ? { kind: 'accept', dialled: { address: VIP, port: 80 } }
        : { kind: 'refuse', status: 503, why: 'unknown' },
    expected: () => Promise.resolve(),
    accept: (downstream) => void accepted.push(downstream),
    counters: new Counters(),
    meters: new Meters('waypoint'),
  };
  return { accepted, lines, log, door };
}

function aTunnel(change: Partial<InboundTunnel>) {
  const answers: (number | 'accepted')[] = [];
  const tunnel: InboundTunnel = {
    authority: `${VIP}:80`,
    peer: FRONT,
    remoteAddress: parseIp('10.0.0.7'),
    remotePort: 4_000,
    localAddress: parseIp('10.0.0.99'),
    baggage: '',
    forwarded: '',
    traceparent: '',
    accept: () => {
      answers.push('accepted');
      return new NodeStream(
        new net.Socket(),
        { remote: { ip: parseIp('10.0.0.7'), port: 4_000 }, local: { ip: parseIp('10.0.0.99'), port: 15_008 } },
        SILENT_MISHAPS,
      );
    },
    refuse: (status) => void answers.push(status),
    ...change,
  };
  return { tunnel, answers };
}

const CLIENTS = [
  { name: 'the peer’s own port without a header', forwarded: '', port: 4_000 },
  { name: 'the port that the peer’s agent names', forwarded: 'for="10.0.0.7:51234"', port: 51_234 },
  { name: 'the peer’s own port when the header names somebody else', forwarded: 'for="10.0.0.8:1"', port: 4_000 },
];

for (const { name, forwarded, port } of CLIENTS) {
  test(`a tunnel is served for ${name}`, () => {
    const { door, accepted, log } = aDoor();
    const { tunnel, answers } = aTunnel({ forwarded });
    acceptTunnel(door, tunnel, log);
    assert.deepEqual(answers, ['accepted']);
    const { stream: _stream, ...rest } = accepted[0] ?? {};
    assert.deepEqual(rest, { peer: FRONT, peerAddress: '10.0.0.7', peerPort: port, dialled: { address: VIP, port: 80 } });
  });
}

test('a tunnel to what is not served is refused before a byte, and one line says why', async () => {
  const { door, accepted, log, lines } = aDoor();
  const { tunnel, answers } = aTunnel({ authority: '10.9.9.9:80' });
  await acceptTunnel(door, tunnel, log);
  assert.deepEqual([answers, accepted, lines.length], [[503], [], 1]);
  assert.deepEqual([lines[0]?.error, lines[0]?.['src.identity']], ['unknown', formatIdentity(FRONT)]);
  assert.deepEqual([door.counters.connectionsRefused, door.meters.total('weft_refusals_total')], [1, 1]);
});

/** A waypoint whose clients may have heard of a service before it has. */
async function aWaypoint(t: TestContext) {
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([]);
  const here = configOf({});
  rig.waypoint.configure({ ...here, services: [] });
  return { clock: rig.clock, door: rig.waypoint, serve: () => rig.waypoint.configure(here), log: aDoor().log };
}

test('K129: a tunnel from a node that has heard of a service first waits until the waypoint has, and is served', async (t) => {
  const { clock, door, serve, log } = await aWaypoint(t);
  const { tunnel, answers } = aTunnel({});
  const accepting = acceptTunnel(door, tunnel, log);
  clock.advance(WAYPOINT.comingMs - 1);
  assert.deepEqual(answers, []);
  serve();
  await accepting;
  assert.deepEqual([answers, door.counters.connectionsRefused], [['accepted'], 0]);
});

test('a tunnel to what does not come to be served in time is refused; so are at once one to no place, and all when the waypoint closes', async (t) => {
  const { clock, door, log } = await aWaypoint(t);
  const [late, bad, last] = [aTunnel({}), aTunnel({ authority: 'nowhere' }), aTunnel({})];
  const waiting = acceptTunnel(door, late.tunnel, log);
  await acceptTunnel(door, bad.tunnel, log);
  assert.deepEqual([late.answers, bad.answers], [[], [400]]);
  clock.advance(WAYPOINT.comingMs);
  await waiting;
  assert.deepEqual(late.answers, [503]);
  const ending = acceptTunnel(door, last.tunnel, log);
  door.close();
  await ending;
  assert.deepEqual([last.answers, clock.pendingMs()], [[503], []]);
});

/** A listener on loopback that lets in what `attest` vouches for. */
function startLocal(t: TestContext, door: Door, attest: Attest, log: Log): number {
  const listener = listen((stream) => acceptLocal(door, attest, stream, log));
  t.after(() => listener.close());
  return listener.port;
}

test('a client of this node is served as whom the kernel saw, and for what it dialled', async (t) => {
  const app = await startApp(t, (_heard, response) => response.end('hello'));
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const asked: Parameters<Attest>[0][] = [];
  const attest: Attest = (ends) => {
    asked.push(ends);
    return { identity: FRONT, dialled: { ip: parseIp(VIP), port: 80 } };
  };
  const port = startLocal(t, rig.waypoint, attest, aDoor().log);
  const client = await rawClient(t, port);
  client.socket.write('GET / HTTP/1.1\r\nhost: cart\r\n\r\n');
  await until(() => client.received().endsWith('hello'));
  const { localPort, localAddress } = client.socket;
  assert.deepEqual(asked, [{ remote: { ip: localAddress, port: localPort }, local: { ip: parseIp('127.0.0.1'), port } }]);
  await until(() => rig.lines.some(({ message }) => message === 'request'));
});

test('promise 4: a connection that the kernel did not attest is reset, and one line names it', async (t) => {
  const { door, accepted, log, lines } = aDoor();
  const port = startLocal(t, door, () => null, log);
  const socket = net.connect({ port, host: '127.0.0.1' });
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
  assert.deepEqual(accepted, []);
  assert.match(String(lines[0]?.['src.addr']), /^127\.0\.0\.1:\d+$/);
  assert.deepEqual([lines[0]?.cause, door.meters.total('weft_refusals_total')], ['not-captured', 1]);
});

test('a connection that was reset before it was accepted is closed without a question', () => {
  const { door, accepted, log } = aDoor();
  const stream = new NodeStream(new net.Socket(), { remote: NOWHERE, local: NOWHERE }, SILENT_MISHAPS);
  acceptLocal(door, () => assert.fail('asked the kernel'), stream, log);
  assert.deepEqual([stream.isOver, accepted], [true, []]);
});
