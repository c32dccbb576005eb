import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenStream, Probe } from '#testbed/apps/probe-client.ts';
import { OUTSIDE_4, OUTSIDE_NAME } from '#testbed/nodes/plan.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { metricOf } from './crowd.testing.ts';
import { attackProgram } from './dialling.testing.ts';
import { AttackedMesh, serviceYaml } from './mesh.testing.ts';

const SETTLE_MS = 10_000;
const VIP = '10.96.17.1';
const NAMES = 20;
/** Within this the agent gives up on a nameserver, and so answers whoever asked: nobody, by then. */
const GIVEN_UP_MS = 3_500;

/** What one process asks the agent of its node, and is not there to hear. */
describe('names that nobody waits for', () => {
  let mesh: AttackedMesh;
  let bystander: Probe;
  let tunnel: OpenStream;
  before(async () => {
    mesh = await AttackedMesh.up({ 'server.yaml': serviceYaml('server', VIP) });
    [bystander] = await Promise.all([
      mesh.probe('bystander', 'alpha'),
      mesh.probe('staying', 'alpha'),
      mesh.echo('server', 'beta'),
    ]);
    const stream = await bystander.stream({ host: VIP, port: 7 });
    assert.ok(typeof stream !== 'string', String(stream));
    tunnel = stream;
  });
  after(async () => {
    resolver('SIGCONT');
    await mesh?.down();
  });

  const resolver = (signal: NodeJS.Signals): void => void process.kill(mesh.lab.resolver.pid, signal);
  /** How many of the questions of a prefix have reached the resolver outside. */
  const asked = async (prefix: string): Promise<number> => {
    const log = await readFile(mesh.lab.resolver.child.logPath, 'utf8');
    return new Set(log.match(new RegExp(`"(?:udp|tcp)-${prefix}-\\d+\\.outside`, 'g'))).size;
  };
  /** A workload that asks, and is gone before anything is answered. */
  const askAndGo = async (name: string): Promise<void> => {
    const app = await mesh.start({ name, node: 'alpha', command: attackProgram('asker', name, String(NAMES)) });
    await app.child.ended;
    const enrolled = async (): Promise<boolean> =>
      (await mesh.status('alpha')).workloads.some(({ identity }) => identity.endsWith(`/${name}`));
    await waitUntil('its end', SETTLE_MS, async () => !(await enrolled()));
  };
  /** The agent is the same process and took nothing for a mistake; the tunnel never paused, and new work is done. */
  const goesOn = async (): Promise<void> => {
    const agent = mesh.lab.agent('alpha');
    assert.equal(agent.ending(), null, 'the agent lives');
    const { ticksEchoed } = await tunnel.state();
    await waitUntil('ticks', SETTLE_MS, async () => (await tunnel.state()).ticksEchoed > ticksEchoed + 2);
    assert.equal((await tunnel.state()).open, true);
    assert.equal((await bystander.connect({ host: VIP, port: 7 })).error, null);
    assert.deepEqual((await bystander.resolve('server.attacks', 4)).addresses, [VIP]);
    assert.equal(await metricOf(mesh, 'alpha', 'weft_mishaps_total', 'entry="process"'), 0, 'the last resort had nothing to do');
  };

  test('S17: a workload asks for names, ends, and the answers come afterwards: the agent and its tunnels go on', async () => {
    resolver('SIGSTOP');
    await askAndGo('late');
    resolver('SIGCONT');
    await waitUntil('the questions', SETTLE_MS, async () => (await asked('late')) > 0);
    await goesOn();
    assert.deepEqual((await bystander.resolve(OUTSIDE_NAME, 4)).addresses, [OUTSIDE_4]);
  });

  test('S17: the same where the answers never come, and one process ends while its workload stays', async () => {
    resolver('SIGSTOP');
    const { code } = await mesh.inside('staying', attackProgram('asker', 'stays', String(NAMES)));
    assert.equal(code, 0);
    await askAndGo('never');
    await sleep(GIVEN_UP_MS);
    await goesOn();
    resolver('SIGCONT');
    await waitUntil('the questions', SETTLE_MS, async () => (await asked('stays')) > 0 && (await asked('never')) > 0);
    await goesOn();
  });

  test('S17: an upstream without a route, or one that is refused, costs a question its answer and nothing else', async () => {
    const route = async (...words: string[]): Promise<void> => {
      const { code, stderr } = await mesh.onNode('alpha', ['ip', 'route', ...words]);
      assert.equal(code, 0, stderr);
    };
    const { stdout: before } = await mesh.onNode('alpha', ['ip', 'route', 'show', OUTSIDE_4]);
    // ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL: each fails at another call, or in the callback of one.
    for (const words of [['del'], ['replace', 'unreachable'], ['replace', 'prohibit'], ['replace', 'blackhole']]) {
      await route(...words, OUTSIDE_4);
      const kind = words.at(-1);
      assert.notEqual((await bystander.resolve(`${kind}.outside.example`, 4)).error, null, kind);
      assert.equal((await mesh.inside('staying', attackProgram('asker', `route-${kind}`, String(NAMES)))).code, 0);
      if (kind === 'del') await askAndGo('routeless');
      await goesOn();
      assert.equal(await asked(`route-${kind}`), 0, 'none of it has reached the upstream');
    }
    await route('replace', ...before.trim().split(/\s+/));
    assert.deepEqual((await bystander.resolve(OUTSIDE_NAME, 4)).addresses, [OUTSIDE_4]);
  });
});
