import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import test from 'node:test';
import { describeProcess, LAB_VARIABLE, processesOf } from '#testbed/processes/process-table.ts';
import { type BpfObject, keptAlive, parseObjects, pinnedBelow } from './bpf-objects.ts';
import { descendants, ioBytes, parseIoBytes, parseSockets } from './kernel-accounts.ts';

const SS = `0      0               10.89.1.2:49416          10.89.1.3:7000  users:(("MainThread",pid=41,fd=23)) bbr wscale:10,10 bytes_sent:67397393 bytes_retrans:288524 bytes_acked:67108870 bytes_received:67108961 segs_out:1560
0      0      [::ffff:10.89.1.3]:7000  [::ffff:10.89.1.2]:49416 users:(("node",pid=42,fd=3),("node",pid=43,fd=3)) bytes_received:5
0      0      [fe80::1%eth0]:7000  [fd89:0:0:1::2]:49416
State Recv-Q
`;

test('sockets are read with their owners and counters, IPv4-mapped addresses as IPv4', () => {
  assert.deepEqual(parseSockets(SS), [
    {
      local: '10.89.1.2',
      localPort: 49_416,
      remote: '10.89.1.3',
      remotePort: 7000,
      pids: [41],
      bytesAcked: 67_108_870,
      bytesReceived: 67_108_961,
    },
    {
      local: '10.89.1.3',
      localPort: 7000,
      remote: '10.89.1.2',
      remotePort: 49_416,
      pids: [42, 43],
      bytesAcked: 0,
      bytesReceived: 5,
    },
    { local: 'fe80::1', localPort: 7000, remote: 'fd89:0:0:1::2', remotePort: 49_416, pids: [], bytesAcked: 0, bytesReceived: 0 },
  ]);
});

test('the bytes of a process are what it read and wrote', () => {
  assert.equal(parseIoBytes('rchar: 100\nwchar: 20\nsyscr: 3\nread_bytes: 4096\n'), 120);
  assert.equal(parseIoBytes(''), 0);
});

test('descendants are found over generations', () => {
  const parents = new Map([
    [2, 1],
    [3, 2],
    [4, 3],
    [5, 1],
    [9, 8],
  ]);
  assert.deepEqual(descendants(2, parents), [2, 3, 4]);
});

test('bytes that a child of a process moves count for the process', async () => {
  const before = await ioBytes(process.pid);
  const child = spawn('sh', ['-c', 'head -c 3000000 /dev/zero | cat > /dev/null; sleep 5'], { stdio: 'ignore' });
  let grown = 0;
  for (let tries = 0; tries < 100 && grown < 3_000_000; tries++) grown = (await ioBytes(process.pid)) - before;
  child.kill('SIGKILL');
  assert.ok(grown >= 3_000_000, `${grown} bytes`);
});

test('processes of a run are found by their environment, with their arguments', async () => {
  const child = spawn('sleep', ['31'], { stdio: 'ignore', env: { ...process.env, [LAB_VARIABLE]: 'ab12cd' } });
  await new Promise((resolve) => child.once('spawn', resolve));
  assert.deepEqual(await processesOf('ab12cd'), [child.pid]);
  assert.equal(await describeProcess(child.pid ?? 0), `process ${child.pid} sleep 31`);
  assert.deepEqual(await processesOf('ab12ce'), []);
  child.kill('SIGKILL');
});

const bpf = (key: string, uses: string[] = [], pinned: string[] = []): BpfObject => ({ key, type: '', name: '', uses, pinned });
/** What is neither held nor pinned outside the run's own directory. */
function leftOver(objects: readonly BpfObject[], held: readonly string[]): string[] {
  const outside = ({ pinned }: BpfObject): boolean => pinned.some((path) => !pinnedBelow('/run/own', path));
  const kept = keptAlive(objects, (object) => held.includes(object.key) || outside(object));
  return objects.map(({ key }) => key).filter((key) => !kept.has(key));
}
const ownership = [
  { name: 'an object nobody holds is left over', objects: [bpf('prog 1')], held: [], want: ['prog 1'] },
  {
    name: "a pin in the run's own directory is left over",
    objects: [bpf('prog 1', [], ['/run/own/x'])],
    held: [],
    want: ['prog 1'],
  },
  { name: "a pin elsewhere is somebody else's", objects: [bpf('prog 1', [], ['/sys/fs/bpf/x'])], held: [], want: [] },
  {
    name: "what a held link keeps alive is its holder's",
    objects: [bpf('link 1', ['prog 1']), bpf('prog 1', ['map 1']), bpf('map 1'), bpf('map 2')],
    held: ['link 1'],
    want: ['map 2'],
  },
];
for (const { name, objects, held, want } of ownership) {
  test(name, () => assert.deepEqual(leftOver(objects, held), want));
}

test("bpftool's lists are read with what each object keeps alive", () => {
  const [prog] = parseObjects(
    'prog',
    '[{"id":7,"type":"cgroup_sock_addr","name":"weft_connect4","map_ids":[1,2],"pinned":["/x"]}]',
  );
  assert.deepEqual(prog, {
    key: 'prog 7',
    type: 'cgroup_sock_addr',
    name: 'weft_connect4',
    pinned: ['/x'],
    uses: ['map 1', 'map 2'],
  });
  assert.deepEqual(parseObjects('link', '[{"id":3,"type":"netns","prog_id":7}]')[0]?.uses, ['prog 7']);
  assert.deepEqual(parseObjects('map', ''), []);
});
