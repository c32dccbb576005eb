import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { IpAddress } from '#model/address/ip.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { Probe } from '#testbed/apps/probe-client.ts';
import { nodeOf } from '#testbed/nodes/plan.ts';
import { assembleStreams, readCapture } from '#testbed/observers/pcap.ts';
import type { WireReport } from '#testbed/observers/wire-report.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { ETHERTYPE, ethernet, extension, PROTOCOL, packet, tcp, udp } from '../../bpf/tests/frames.testing.ts';
import { AttackedLink, addressOf, CLEAR, type Macs } from './link.testing.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';

const VIP = '10.96.5.1';
const SETTLE_MS = 5_000;
/** Fixed by draft-ietf-tls-ecdhe-mlkem. */
const X25519MLKEM768 = 0x11ec;

/** What the key_share extension holds of the hello that a stream begins with (RFC 8446 4.1.2, 4.1.3, 4.2.8); null: there is none. */
function keyShare(stream: Buffer): Buffer | null {
  const isClient = stream.readUInt8(5) === 1;
  let at = 5 + 4 + 2 + 32;
  at += 1 + stream.readUInt8(at);
  at += isClient ? 2 + stream.readUInt16BE(at) : 2;
  at += isClient ? 1 + stream.readUInt8(at) : 1;
  const end = at + 2 + stream.readUInt16BE(at);
  for (at += 2; at < end; at += 4 + stream.readUInt16BE(at + 2))
    if (stream.readUInt16BE(at) === 51) return stream.subarray(at + 4, at + 4 + stream.readUInt16BE(at + 2));
  return null;
}

/** `mallory` has every capability and leaves her cgroup; `server` is a workload of the other node. What crosses the wire decides. */
describe('what crosses the wire between nodes', () => {
  let mesh: AttackedMesh;
  let mallory: AttackedLink;
  let macs: Macs;
  let client: Probe;
  const [at, own]: [Record<4 | 6, IpAddress>, Record<4 | 6, IpAddress>] = [{}, {}] as never;

  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [client] = await Promise.all([mesh.probe('mallory', 'alpha'), mesh.echo('server', 'beta')]);
    mallory = new AttackedLink(mesh, 'mallory');
    macs = await mallory.macs();
    for (const family of [4, 6] as const) {
      at[family] = addressOf(mesh, 'server', family);
      own[family] = addressOf(mesh, 'mallory', family);
    }
    await waitUntil('an answer over the tunnel', SETTLE_MS, async () => (await dial()) === null);
  });
  after(() => mesh?.down());

  const dial = async (): Promise<string | null> => (await client.connect({ host: VIP, port: 7 })).error;
  const nothingCrossed = (report: WireReport, pcap: Buffer): void => {
    assert.deepEqual(report.problems, []);
    assert.equal(pcap.includes(CLEAR), false);
  };
  const dropped = async (): Promise<number> => (await mesh.status('alpha')).kernel.counters.link_dropped ?? 0;
  const ip4 = (protocol: number, payload: Buffer, fragment = 0): Buffer =>
    ethernet(macs.own, macs.gateway, ETHERTYPE.ip4, packet(own[4], at[4], protocol, payload, { fragment }));
  const ip6 = (protocol: number, payload: Buffer): Buffer =>
    ethernet(macs.own, macs.gateway, ETHERTYPE.ip6, packet(own[6], at[6], protocol, payload));
  const rawFrames = (): Buffer[] => [
    ip4(PROTOCOL.udp, udp(4000, 7000, CLEAR)),
    ip4(PROTOCOL.udp, udp(4000, PORT.hbone, CLEAR)),
    ip4(PROTOCOL.tcp, tcp(4000, 7000, 2)),
    ip4(PROTOCOL.tcp, tcp(4000, PORT.hbone, 2)),
    ip4(PROTOCOL.tcp, tcp(4000, PORT.hbone, 24, CLEAR)),
    ip4(PROTOCOL.tcp, tcp(PORT.hbone, 4000, 24, CLEAR)),
    ip4(PROTOCOL.icmp, Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]), CLEAR])),
    ip4(PROTOCOL.sctp, Buffer.concat([Buffer.alloc(12), CLEAR])),
    ip4(PROTOCOL.raw, CLEAR),
    ip4(PROTOCOL.udp, udp(4000, 7000, CLEAR), 0x2000),
    ip4(PROTOCOL.tcp, CLEAR, 8),
    ip4(PROTOCOL.ipip, packet(own[4], at[4], PROTOCOL.udp, udp(1, 2, CLEAR))),
    ip4(PROTOCOL.gre, Buffer.concat([Buffer.from([0, 0, 8, 0]), packet(own[4], at[4], PROTOCOL.udp, udp(1, 2, CLEAR))])),
    ip4(PROTOCOL.sixInFour, packet(own[6], at[6], PROTOCOL.udp, udp(1, 2, CLEAR))),
    ip4(PROTOCOL.esp, Buffer.concat([Buffer.alloc(8), CLEAR])),
    ip6(PROTOCOL.udp, udp(4000, 7000, CLEAR)),
    ip6(PROTOCOL.icmp6, Buffer.concat([Buffer.from([128, 0, 0, 0, 0, 1, 0, 1]), CLEAR])),
    ip6(PROTOCOL.sctp, Buffer.concat([Buffer.alloc(12), CLEAR])),
    ip6(60, extension(PROTOCOL.udp, udp(1, 2, CLEAR))),
    ip6(44, extension(PROTOCOL.udp, CLEAR, Buffer.from([0, 8, 0, 0, 0, 9]))),
  ];

  test('S5: raw frames of every protocol to a workload of another node: not one crosses, each is counted', async () => {
    const frames = rawFrames();
    const before = await dropped();
    const { report, pcap } = await mesh.wire(() => mallory.send(...frames));
    nothingCrossed(report, pcap);
    assert.equal((await dropped()) - before, frames.length);
    assert.equal(await dial(), null, 'the tunnel of the same workload goes on');
  });

  test('S5: agents agree on X25519MLKEM768: seen in both hellos of a new tunnel', async () => {
    const { pcap } = await mesh.wire(async () => {
      const newcomer = await mesh.probe('newcomer', 'alpha');
      assert.equal((await newcomer.connect({ host: VIP, port: 7 })).error, null);
    });
    const streams = assembleStreams(readCapture(pcap).segments).filter(({ fromStart, bytes }) => fromStart && bytes.length > 0);
    const sent = streams.filter(({ destinationPort }) => destinationPort === PORT.hbone).map(({ bytes }) => bytes);
    const answered = streams.filter(({ sourcePort }) => sourcePort === PORT.hbone).map(({ bytes }) => bytes);
    assert.ok(sent.length > 0 && sent.length === answered.length, `${sent.length} tunnels, ${answered.length} answers`);
    for (const bytes of answered) assert.equal(keyShare(bytes)?.readUInt16BE(0), X25519MLKEM768);
    // The share itself is sent at once: no second round for it.
    for (const bytes of sent) assert.equal(keyShare(bytes)?.readUInt16BE(2), X25519MLKEM768);
  });

  test('S5: bytes in the middle of a live tunnel, from its very ports: they end on the link', async () => {
    const held = await client.connect({ host: VIP, port: 7 }, { hold: true });
    assert.equal(held.error, null);
    const tunnels = await mallory.run('ss', '-Htn', 'state', 'established', 'dport', '=', `:${PORT.hbone}`);
    const [, port = ''] = /:(\d+)\s+\S+:15008/.exec(tunnels) ?? assert.fail(`no tunnel in ${tunnels}`);
    const { report, pcap } = await mesh.wire(() => mallory.send(ip4(PROTOCOL.tcp, tcp(Number(port), PORT.hbone, 24, CLEAR))));
    nothingCrossed(report, pcap);
  });

  test('S5: a process that left its cgroup dials and sends in clear: nothing crosses, and it is told', async () => {
    const escaped = async (...lines: string[]) => {
      const program = ['import socket', ...lines].join('\n');
      return mesh.onNode('alpha', ['nsenter', '-t', String(mesh.app('mallory').pid), '-n', 'python3', '-c', program]);
    };
    const { report, pcap } = await mesh.wire(async () => {
      for (const family of [4, 6] as const)
        await escaped(
          `s = socket.socket(${family === 4 ? 'socket.AF_INET' : 'socket.AF_INET6'}, socket.SOCK_STREAM); s.settimeout(0.4)`,
          `u = socket.socket(${family === 4 ? 'socket.AF_INET' : 'socket.AF_INET6'}, socket.SOCK_DGRAM)`,
          `u.sendto(b"weft-in-clear", ("${at[family]}", 7000))`,
          `s.connect(("${at[family]}", 7000))`,
        );
      await escaped(`u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)`, `u.sendto(b"weft-in-clear", ("${VIP}", 7))`);
    });
    nothingCrossed(report, pcap);
    await waitUntil('a line about it', SETTLE_MS, async () => (await mesh.log('alpha')).includes('link-clear'));
  });

  test('S5: UDP to a workload of another node, or to its VIP, is refused with an errno and told with its own cause', async () => {
    const { result, report, pcap } = await mesh.wire(() =>
      mallory.python(
        'def tell(act):',
        '  try: act(); print("sent")',
        '  except OSError as error: print(errno.errorcode[error.errno])',
        `for family, ip in ((socket.AF_INET, "${at[4]}"), (socket.AF_INET6, "${at[6]}"), (socket.AF_INET, "${VIP}")):`,
        '  s = socket.socket(family, socket.SOCK_DGRAM)',
        '  tell(lambda: s.sendto(b"weft-in-clear", (ip, 5000)))',
        '  tell(lambda: s.connect((ip, 5000)))',
      ),
    );
    assert.equal(result.trim(), Array.from({ length: 6 }, () => 'ECONNREFUSED').join('\n'));
    nothingCrossed(report, pcap);
    await waitUntil('a line about it', SETTLE_MS, async () => (await mesh.log('alpha')).includes('datagram'));
  });

  test('S5: a second address, and routes of her own, lead no further', async () => {
    await mallory.run('ip', 'addr', 'add', '10.89.1.250/32', 'dev', 'eth0');
    const { report, pcap } = await mesh.wire(async () => {
      await mallory.poke(at[4], '10.89.1.250');
      for (const family of [4, 6] as const) await mallory.poke(at[family]);
      await mallory.run('ip', 'route', 'add', '10.89.2.0/24', 'via', nodeOf(mesh.plan, 'alpha').link4, 'onlink', 'dev', 'eth0');
      await mallory.poke(at[4]);
    });
    await mallory.run('ip', 'addr', 'del', '10.89.1.250/32', 'dev', 'eth0');
    await mallory.try('ip', 'route', 'del', '10.89.2.0/24');
    nothingCrossed(report, pcap);
  });

  test('S5: the link stays guarded while the agent is dead and while it starts again', async () => {
    const frames = rawFrames();
    const { report, pcap } = await mesh.wire(async () => {
      const restarted = mesh.lab.restart('alpha', 'SIGKILL');
      for (let round = 0; round < 8; round++) await mallory.send(...frames);
      await restarted;
      await mallory.send(...frames);
    });
    nothingCrossed(report, pcap);
    await waitUntil('an answer over the tunnel', SETTLE_MS, async () => (await dial()) === null);
  });
});
