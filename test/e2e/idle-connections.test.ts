import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { boundServiceYaml, GATEWAY_YAML, WEB_PROGRAM, waypointLives } from '../security/waypoint.testing.ts';

const VIP = '10.96.43.1';
/** No workload may hold all of them: what one may have of a node is bounded. */
const CLIENTS = ['one', 'two', 'three', 'four'];
const EACH = 2_500;
const MIB_MAX = 200;
const SETTLE_MS = 20_000;

/** Opens connections, asks once over each, and holds them; then it says that it listens. */
const HOLDING = `
const net = require('node:net');
const [, host, count] = process.argv;
const open = () => new Promise((resolve, reject) => {
  const socket = net.connect(80, host, () => socket.write('GET / HTTP/1.1\\r\\nhost: web\\r\\n\\r\\n'));
  socket.once('data', resolve).on('error', reject).on('close', () => { console.error('closed'); process.exit(1); });
});
(async () => {
  for (let left = Number(count); left > 0; left -= 50) await Promise.all(Array.from({ length: 50 }, open));
  console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
  setInterval(() => {}, 1e9);
})();
`;

describe('idle connections at a waypoint', () => {
  let mesh: AttackedMesh;

  before(async () => {
    // As many as there are cores otherwise, and each has a heap of its own.
    process.env.WEFT_LAB_THREADS ||= '1';
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'web.yaml': boundServiceYaml('web', VIP, 'web', 'http', 7000),
    });
    await Promise.all([mesh.start({ name: 'web', node: 'beta', command: WEB_PROGRAM }), mesh.probe('first', 'alpha')]);
    await mesh.lab.waypointsReady();
    const asked = () => mesh.inside('first', ['curl', '-sf', '--max-time', '2', `http://${VIP}/`]);
    await waitUntil('an answer', SETTLE_MS, async () => (await asked()).code === 0);
  });
  after(async () => {
    process.env.WEFT_LAB_THREADS = '';
    await mesh?.down();
  });

  const waypointMib = async (): Promise<number> => {
    const kept = await readFile(join(mesh.lab.paths.waypointDir, 'attacks.waypoint.json'), 'utf8');
    const { pid } = JSON.parse(kept) as { pid: number };
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
  };

  test(`${CLIENTS.length * EACH} of clients that have asked once take less than ${MIB_MAX} MiB, with all of the waypoint`, async (t) => {
    const idle = await waypointMib();
    for (const name of CLIENTS)
      await mesh.start({ name, node: 'alpha', command: [process.execPath, '-e', HOLDING, VIP, `${EACH}`] });
    const held = await waypointMib();
    t.diagnostic(
      `${idle.toFixed(0)} MiB, then ${held.toFixed(0)}: ${((1024 * (held - idle)) / (CLIENTS.length * EACH)).toFixed(1)} KiB each`,
    );
    assert.ok(held < MIB_MAX, `${held} MiB`);
    for (const name of CLIENTS) assert.equal(mesh.app(name).child.ending(), null, name);
    await waypointLives(mesh);
  });
});
