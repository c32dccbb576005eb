import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { isOfKubelet } from './kubelet.ts';

const HOST = '127.0.0.1';
const POD = '0::/kubepods/besteffort/pod0a1b2c3d-1111-2222-3333-445566778899/abc';

/** A connection of this process's, and a folder like /proc in which it is that of another program. */
async function setUp(t: TestContext) {
  const proc = mkdtempSync(join(tmpdir(), 'weft-kubelet-'));
  const server = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  const before = new Set(sockets());
  const client = connect(port, HOST);
  await new Promise((resolve) => client.once('connect', resolve));
  t.after(() => {
    client.destroy();
    server.close();
    rmSync(proc, { recursive: true, force: true });
  });
  const ip = parseIp(HOST);
  return {
    proc,
    tuple: { local: ip, localPort: client.localPort ?? 0, remote: ip, remotePort: port },
    /** A process with all that this one has opened for the connection. */
    program(pid: number, comm: string, cgroup = '0::/system.slice/kubelet.service'): void {
      mkdirSync(join(proc, String(pid), 'fd'), { recursive: true });
      writeFileSync(join(proc, String(pid), 'comm'), `${comm}\n`);
      writeFileSync(join(proc, String(pid), 'cgroup'), cgroup);
      for (const [at, target] of sockets()
        .filter((one) => !before.has(one))
        .entries())
        symlinkSync(target, join(proc, String(pid), 'fd', String(at)));
    },
  };
}

function sockets(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((target) => target.startsWith('socket:'));
    } catch {
      return []; // that of the folder itself
    }
  });
}

test('K49: a connection is the kubelet’s when a program of that name has its socket, also after it was started anew', async (t) => {
  const { proc, tuple, program } = await setUp(t);
  program(7, 'kubelet');
  assert.equal(isOfKubelet(tuple, proc), true);
  rmSync(join(proc, '7'), { recursive: true });
  assert.equal(isOfKubelet(tuple, proc), false);
  program(8, 'k3s-server');
  assert.equal(isOfKubelet(tuple, proc), true);
});

test('K52: another program, and one of that name in a pod, is not the kubelet', async (t) => {
  const { proc, tuple, program } = await setUp(t);
  program(7, 'curl');
  program(8, 'kubelet', POD);
  assert.equal(isOfKubelet(tuple, proc), false);
});

test('K53: a connection of which this namespace has no socket is nobody’s of the node, whatever address it has', async (t) => {
  const { proc, tuple, program } = await setUp(t);
  program(7, 'kubelet');
  assert.equal(isOfKubelet({ ...tuple, localPort: 1 }, proc), false);
  assert.equal(isOfKubelet({ ...tuple, remote: parseIp('192.0.2.1') }, proc), false);
});
