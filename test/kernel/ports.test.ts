import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PORT } from '#model/mesh/ports.ts';
import { command } from '#testbed/processes/command.ts';
import { type App, Bed } from './bed.testing.ts';
import { agentOn, workload, workloadDelta } from './mesh.testing.ts';

const AGENT_PORTS = [PORT.outbound, PORT.plaintext, PORT.hbone, PORT.dns];
const REUSE = ['', ' reuseaddr', ' reuseport', ' reuseaddr reuseport'];

/** An app can sit beside none of the agent's sockets, whether or not the agent is there. */
describe('the ports of the agent in an enrolled namespace', () => {
  const bed = new Bed();
  const [a, outside, waypoint] = [bed.host(1), bed.host(2), bed.host(3)];
  const shop = workload({ name: 'a', addresses: [a.ip4, a.ip6] });
  const far = workload({ name: 'far', addresses: ['10.77.0.9'], node: 'two' });
  const gate = workload({ name: 'gate', addresses: [waypoint.ip4, waypoint.ip6] });
  let agent: ReturnType<typeof agentOn>;
  let app: App;

  const answer = async (line: string, from: App = app): Promise<string> => {
    from.send(line);
    return from.line();
  };
  const start = async (): Promise<void> => {
    agent = agentOn(bed, { answerDatagram: () => Buffer.from('from the agent') });
    await agent.agent.enroll({ ...shop.request, netnsPath: a.netnsPath });
    agent.takeOver();
    agent.agent.applyMesh(workloadDelta(shop.workload, far.workload), true);
  };
  /** Every way of binding an agent's port that comes to nothing else than `EADDRINUSE`. */
  const ways = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const port of AGENT_PORTS)
      for (const kind of ['tcp', 'udp'])
        for (const host of ['0.0.0.0', '::', '127.0.0.1', '::1', '::ffff:127.0.0.1', a.ip4, a.ip6])
          for (const reuse of REUSE) {
            const line = `bind ${kind} ${host} ${port}${reuse}`;
            const result = await answer(line);
            if (result !== 'EADDRINUSE') found.push(`${line}: ${result}`);
          }
    return found;
  };

  const another = async (netnsPath: string, captured = true): Promise<App> => {
    const made = bed.app(netnsPath, 'binder', { captured });
    assert.equal(await made.line(), 'ready');
    return made;
  };
  const setRange = (ports: string): Promise<string> =>
    command(['nsenter', `--net=${a.netnsPath}`, 'sh', '-c', `echo "${ports}" > /proc/sys/net/ipv4/ip_local_port_range`]);

  before(async () => {
    app = await another(a.netnsPath);
  });
  after(async () => {
    agent?.stop();
    await bed.down();
  });

  test('S12: before enrolment: who holds a port keeps the agent from enrolling, and never shares it', async () => {
    assert.equal(await answer(`hold udp 127.0.0.1 ${PORT.dns} reuseaddr reuseport`), 'bound');
    await assert.rejects(start(), { code: 'WEFT_SOCKET' });
    agent.stop();
    app.process.kill('SIGKILL');
    app = await another(a.netnsPath);
  });

  test('S12: enrolled: no port, protocol, address or option is a way in', async () => {
    await start();
    assert.deepEqual(await ways(), []);
    assert.equal(await answer('bind tcp 0.0.0.0 8080'), 'bound', 'other ports are the app’s');
    assert.equal(await answer('bind udp :: 5353 reuseaddr'), 'bound');
    assert.equal(await answer(`bind tcp 0.0.0.0 0`), 'bound');
  });

  test('S12: with the agent dead, and while it comes back: neither, and it finds its ports free', async () => {
    agent.stop();
    assert.deepEqual(await ways(), []);
    const binding = ways();
    await start();
    assert.deepEqual(await binding, []);
  });

  test('S12: a connection of before in TIME_WAIT keeps no agent from its ports', async () => {
    const client = await bed.caller(a.netnsPath);
    for (let round = 0; round < 3; round++) await client.refused(a.ip4, PORT.outbound);
    agent.stop();
    await start();
  });

  for (const [family, any, server] of [
    ['IPv4', '0.0.0.0', '192.0.2.53'],
    ['IPv6', '::', '2001:db8::53'],
  ] as const) {
    test(`S12: over ${family} only what the agent sends is an answer of the nameserver`, async () => {
      const asking = await another(a.netnsPath);
      assert.equal(await answer(`hold udp ${any} 0`, asking), 'bound');
      assert.equal(await answer(`send ${server} 53 who`, asking), 'sent');
      assert.equal(await answer('receive', asking), `${server} 53 from the agent`);
      const stranger = await another(outside.netnsPath, false);
      assert.equal(await answer(`hold udp ${any} ${PORT.dns}`, stranger), 'bound');
      const [to, from] = family === 'IPv4' ? [a.ip4, outside.ip4] : [a.ip6, outside.ip6];
      const port = await answer('port', asking);
      assert.equal(await answer(`send ${to} ${port} forged`, stranger), 'sent');
      assert.equal(await answer('receive', asking), `${from} ${PORT.dns} forged`, 'it comes from where it comes from');
      for (const { process } of [asking, stranger]) process.kill('SIGKILL');
    });
  }

  test('S12: with the agent dead, a port that the kernel chose for an app gets nothing that is meant for the agent', async () => {
    agent.stop();
    const asking = await another(a.netnsPath);
    assert.equal(await answer('hold udp 0.0.0.0 0', asking), 'bound');
    const client = await bed.caller(a.netnsPath);
    // As only root can: the range from which the kernel chooses holds nothing but the agent's ports.
    await setRange(`${PORT.outbound} ${PORT.outbound + 1}`);
    const listener = await another(a.netnsPath);
    for (let one = 0; one < 2; one++) assert.equal(await answer('hold tcp 0.0.0.0 0', listener), 'bound');
    await setRange(`${PORT.dns - 1} ${PORT.dns}`);
    const squatter = await another(a.netnsPath);
    for (let one = 0; one < 2; one++) assert.equal(await answer('hold udp 0.0.0.0 0', squatter), 'bound');
    await setRange('32768 60999');
    assert.equal(await answer('send 192.0.2.53 53 who', asking), 'ECONNREFUSED');
    assert.equal(await client.refused('10.77.0.9', 80), 'ECONNREFUSED');
    for (const { process } of [asking, listener, squatter]) process.kill('SIGKILL');
    await start();
  });

  test('S12: a waypoint has its own ports, and no other of the agent’s', async () => {
    await agent.agent.enroll({ ...gate.request, nativeTunnel: true, netnsPath: waypoint.netnsPath });
    const own = await another(waypoint.netnsPath);
    for (const port of [PORT.hbone, PORT.waypoint, 15_020, 15_021]) {
      assert.equal(await answer(`bind tcp :: ${port}`, own), 'bound', String(port));
    }
    for (const port of [PORT.outbound, PORT.plaintext, PORT.dns]) {
      assert.equal(await answer(`bind tcp 127.0.0.1 ${port} reuseaddr`, own), 'EADDRINUSE', String(port));
    }
  });

  test('S12: after the workload has left, the ports are anybody’s', async () => {
    agent.agent.leave(shop.request.uid);
    assert.equal(await answer(`bind udp 0.0.0.0 ${PORT.dns}`), 'bound');
  });
});
