import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LABS_DIR, type LabRecord } from '#testbed/lab/record.ts';
import { leftoversOf } from '#testbed/nodes/nodes.ts';
import { planLab } from '#testbed/nodes/plan.ts';
import { bpfObjects } from '#testbed/observers/bpf-objects.ts';
import { leftOf, recordOwnThings } from '#testbed/observers/own-things.ts';
import { reportWire } from '#testbed/observers/wire-report.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Program, Programs, ROOT, WEFT } from './programs.testing.ts';

const QUICKSTART = join(ROOT, 'examples/quickstart');
const SERVER = [process.execPath, join(QUICKSTART, 'server.js')];
const CURL = ['curl', '-sS', '-m', '5', 'http://hello/'];
/** curl's exit code when connect() is refused. */
const REFUSED = 7;

/** What a person does with labs: two of them at once, with the same names and addresses in both. */
describe('weft lab', () => {
  const id = randomBytes(3).toString('hex');
  const [two, three] = [`a${id}`, `b${id}`];
  const dir = mkdtempSync(join(tmpdir(), 'weft-lab-test-'));
  const mesh = join(dir, 'mesh');
  const jsonPath = join(dir, 'lab.json');
  const programs = new Programs();
  const lab = (name: string, command: string, ...words: string[]): Program =>
    programs.start([WEFT, 'lab', command, '--lab', name, ...words]);
  const run = (name: string, node: string, workload: string, account: string, ...command: string[]): Program => {
    const identity = ['--name', workload, '--service-account', account, '--label', `app=${workload}`];
    return lab(name, 'run', '--node', node, ...identity, '--', ...command);
  };
  const record = (): LabRecord => JSON.parse(readFileSync(jsonPath, 'utf8')) as LabRecord;
  /** Exit code of one call of the server by a workload on alpha. */
  const call = (account: string): Promise<number | null> => run(two, 'alpha', 'caller', account, ...CURL).ended;
  let ups: Program[];

  before(async () => {
    cpSync(join(QUICKSTART, 'mesh'), mesh, { recursive: true });
    ups = [lab(two, 'up', mesh, '--json', jsonPath), lab(three, 'up', join(QUICKSTART, 'mesh'), '--nodes', '3')];
    for (const up of ups) await up.until(/The lab is up/);
    const servers = [run(two, 'beta', 'hello', 'server', ...SERVER), run(three, 'gamma', 'hello', 'server', ...SERVER)];
    for (const server of servers) await server.until(/listening/);
  });
  after(async () => {
    await programs.endAll('SIGTERM');
    rmSync(dir, { recursive: true, force: true });
  });

  test('the file for programs says what is where, and docs/lab.md explains each of its fields', () => {
    const { nodes, control, outside, wire, ...whole } = record();
    assert.deepEqual(Object.keys(nodes), ['alpha', 'beta']);
    const agents = Object.values(nodes);
    for (const { pid } of [whole, control, outside, ...agents]) assert.ok(existsSync(`/proc/${pid}`), String(pid));
    for (const { socket } of [whole, control, ...agents]) assert.ok(statSync(socket).isSocket(), socket);
    for (const { netns } of [control, outside, wire ?? control, ...agents]) assert.ok(existsSync(`/run/netns/${netns}`), netns);
    for (const { log } of [control, outside, ...agents]) assert.equal(dirname(log), whole.logDir);
    for (const { cgroup } of [whole, ...agents]) assert.ok(existsSync(join(cgroup, 'cgroup.procs')), cgroup);
    for (const { pins, state } of agents) assert.ok(readdirSync(pins).length > 0 && existsSync(state), pins);
    assert.equal(whole.directory, mesh);
    const page = readFileSync(join(ROOT, 'docs/lab.md'), 'utf8');
    const explained = [...page.matchAll(/^\| (`[^|]*) \|/gm)].flatMap(([, cell]) => [...(cell ?? '').matchAll(/`([^`]+)`/g)]);
    assert.deepEqual(
      explained.map(([, name]) => name ?? '').sort(),
      fieldsOf({ ...record(), nodes: { NAME: nodes.alpha } }).sort(),
    );
  });

  test('a workload on one node reaches a service on the other by name, and between them there is TLS 1.3 only', async () => {
    const pcap = join(dir, 'wire.pcap');
    const capture = lab(two, 'capture', '--out', pcap);
    await capture.until(/capturing/);
    const client = run(two, 'alpha', 'caller', 'client', ...CURL);
    assert.equal(await client.ended, 0, client.output());
    assert.match(client.output(), /^hello, 10\.89\.1\.\d+$/m);
    capture.child.kill('SIGINT');
    assert.equal(await capture.ended, 0, capture.output());
    const { problems, handshakes, connections } = reportWire(readFileSync(pcap));
    assert.deepEqual(problems, []);
    assert.ok(handshakes > 0 && connections > 0, `${handshakes} handshakes`);
    const logs = lab(two, 'logs', 'hello');
    assert.equal(await logs.ended, 0);
    assert.match(logs.output(), /^beta +\| .*connection complete.*src\.workload=caller/m);
  });

  test('the second lab has the same names and addresses, and nodes behind a switch', async () => {
    const client = run(three, 'beta', 'caller', 'client', ...CURL);
    assert.equal(await client.ended, 0, client.output());
    assert.match(client.output(), /^hello, 10\.89\.2\.\d+$/m);
  });

  test('exit codes and signals of the command are those of weft lab run and weft lab outside', async () => {
    const script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    const programs = [run(two, 'alpha', 'patient', 'x', 'sh', '-c', script), lab(two, 'outside', '--', 'sh', '-c', script)];
    for (const { child, until, ended } of programs) {
      await until(/ready/);
      child.kill('SIGTERM');
      assert.equal(await ended, 9);
    }
  });

  test('an edited policy refuses the client; without one the host outside gets in, with its own address', async () => {
    const file = join(mesh, 'access.yaml');
    const policy = readFileSync(file, 'utf8');
    const [address = ''] = /10\.89\.2\.\d+/.exec(await statusOf(two)) ?? [];
    const outside = (): Program => lab(two, 'outside', '--', 'curl', '-sS', '-m', '5', `http://${address}:8080/`);
    assert.notEqual(await outside().ended, 0, 'whoever has no identity is kept out');
    writeFileSync(file, policy.replace('serviceAccounts: [client]', 'serviceAccounts: [other]'));
    await waitUntil('refusal of the client', 10_000, async () => (await call('client')) === REFUSED);
    rmSync(file);
    await waitUntil('answer for the host outside', 10_000, async () => {
      const answer = outside();
      return (await answer.ended) === 0 && /^hello, 198\.51\.100\.10$/m.test(answer.output());
    });
    writeFileSync(file, policy);
  });

  test('a killed agent is started again and takes over', async () => {
    const { pid } = record().nodes.alpha ?? { pid: 0 };
    const restart = lab(two, 'restart', 'alpha', '--kill');
    assert.equal(await restart.ended, 0, restart.output());
    assert.equal(existsSync(`/proc/${pid}`), false);
    const { pid: next } = record().nodes.alpha ?? { pid: 0 };
    assert.ok(next !== pid && existsSync(`/proc/${next}`), String(next));
    await waitUntil('answer for the client', 10_000, async () => (await call('client')) === 0);
  });

  test('a name that is not there is told with those that are', async () => {
    const wrong = [
      { program: lab('nobody', 'status'), says: new RegExp(`WEFT_LAB_UNKNOWN.*${two}, ${three}`, 's') },
      { program: run(two, 'gamma', 'x', 'x', 'true'), says: /WEFT_LAB_NODE.*alpha, beta\n$/s },
      { program: lab(two, 'logs', 'gamma'), says: /WEFT_LAB_PART.*control, alpha, beta, outside, hello\n$/s },
      { program: lab(two, 'up', mesh), says: /WEFT_LAB_RUNNING/ },
      { program: lab(two, 'capture', '--out', join(dir, 'absent/wire.pcap')), says: /WEFT_LAB_CAPTURE.*--out/s },
    ];
    for (const { program, says } of wrong) {
      assert.equal(await program.ended, 1);
      assert.match(program.output(), says);
    }
  });

  test('what is wrong with a resource that is saved is told where the lab runs, and so is its mending', async () => {
    const path = join(mesh, 'typo.yaml');
    const head = 'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: typo, namespace: elsewhere}\n';
    writeFileSync(path, `${head}spec: {action: ALOW}\n`);
    await ups[0]?.until(/typo\.yaml:4: error: .*spec\.action.*WEFT_FIELD_INVALID/);
    rmSync(path);
    await ups[0]?.until(/every resource is in force again/);
    assert.doesNotMatch(ups[0]?.output() ?? '', /WEFT_MATCHES_NOTHING/, 'the client of the policy comes and goes');
  });

  test('a second Ctrl-C ends at once and says how to remove what is left', async () => {
    const hasty = lab(`c${id}`, 'up', mesh, '--nodes', '1');
    await hasty.until(/making 1 virtual node/);
    hasty.child.kill('SIGINT');
    await hasty.until(/removing everything/);
    hasty.child.kill('SIGINT');
    assert.equal(await hasty.ended, 130, hasty.output());
    assert.match(hasty.output(), /weft lab down.* removes what is left/);
    assert.equal(await lab(`c${id}`, 'down').ended, 0);
    assert.deepEqual(await leftoversOf(planLab(`c${id}`, LABS_DIR, dirname(record().cgroup))), []);
  });

  test('what a killed lab left is removed by the next one of its name, which a closing terminal ends', async () => {
    ups[1]?.child.kill('SIGKILL');
    await ups[1]?.ended;
    const again = lab(three, 'up', mesh, '--nodes', '1');
    await again.until(/removing what a killed lab of that name left.*The lab is up: 1 virtual node /s);
    again.child.kill('SIGHUP');
    assert.equal(await again.ended, 0, again.output());
    assert.deepEqual(await leftoversOf(planLab(three, LABS_DIR, dirname(record().cgroup))), []);
  });

  test('weft lab down leaves nothing: no process, namespace, cgroup, pin or file', async () => {
    const plan = planLab(two, LABS_DIR, dirname(record().cgroup));
    const own = await recordOwnThings(plan);
    const known = new Set((await bpfObjects())?.map(({ key }) => key));
    assert.ok(own.cgroups.size > 0 && own.namespaces.size > 0);
    const down = lab(two, 'down');
    assert.equal(await down.ended, 0, down.output());
    assert.equal(await ups[0]?.ended, 0, ups[0]?.output());
    await waitUntil('end of what the lab had', 8_000, async () => (await leftOf(plan, own, known)).length === 0).catch(() => {});
    assert.deepEqual([...(await leftOf(plan, own, known)), ...(await leftoversOf(plan))], []);
    assert.equal(existsSync(jsonPath), false);
    assert.equal(existsSync(plan.logDir), false);
  });

  async function statusOf(name: string): Promise<string> {
    const status = lab(name, 'status');
    assert.equal(await status.ended, 0, status.output());
    return status.output();
  }
});

/** The paths of all values in an object, and of the object of nodes itself. */
function fieldsOf(value: object, path = ''): string[] {
  return Object.entries(value).flatMap(([key, below]: [string, unknown]) => {
    const own = `${path}${key}`;
    if (typeof below !== 'object' || below === null) return [own];
    return [...(own === 'nodes' ? [own] : []), ...fieldsOf(below, `${own}.`)];
  });
}
