import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Program } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

describe('a second mesh on a machine', () => {
  const host = new Host();
  const other = (name: string): string => join(host.root, name);
  let web: Program;

  before(async () => {
    await host.up();
    web = await host.run('web', ['sh', '-c', 'while sleep 0.2; do date +beat%s%N; done']);
    await web.until(/beat/);
  });
  after(() => host.close());

  /** Runs a second one, which has to be refused, and shows that the first goes on. */
  async function refused(args: readonly string[], says: RegExp): Promise<void> {
    const { code, text } = await host.said(...args);
    assert.equal(code, 1, text);
    assert.match(text, says);
    const heard = web.output().length;
    await web.until(new RegExp(`^[\\s\\S]{${heard}}[\\s\\S]*beat`));
    const { text: status } = await host.said('status', '--run-dir', host.runDir);
    assert.match(status, /default\/web +\S+ +direct/);
  }

  const up = (...more: string[]): string[] => ['up', host.config, '--listen', '127.0.0.1:15999', ...more];
  const elsewhere = ['--run-dir', other('run-2'), '--state-dir', other('state-2')];
  const holder = `pid \\d+, run directory ${host.runDir}`;

  test('H2: with other directories and port, under the same name: refused with the name of the holder', async () => {
    await refused(
      up('--node', host.node, ...elsewhere),
      new RegExp(`node ${host.node} is held by the agent with ${holder} \\(WEFT_NODE_HELD\\)`),
    );
  });

  test('H2: under another name with the same pools: refused with the name of the holder', async () => {
    await refused(
      up('--node', 'hour-other', ...elsewhere),
      new RegExp(`10\\.41\\.0\\.0/24 overlaps with 10\\.41\\.0\\.0/24 of node ${host.node}.*${holder} \\(WEFT_POOL_OVERLAP\\)`),
    );
  });

  test('H2: a pool that the host has a network of: refused with the device', async () => {
    const made = await host.start(
      'sh',
      '-c',
      'ip link add lan0 type bridge && ip addr add 10.77.0.9/16 dev lan0 && ip link set lan0 up',
    );
    assert.equal(await made.ended, 0, made.output());
    const pools = ['--pool4', '10.77.5.0/24', '--pool6', 'fd77::/64'];
    await refused(
      up('--node', 'hour-other', ...elsewhere, ...pools),
      /10\.77\.5\.0\/24 overlaps with 10\.77\.0\.0\/16.*lan0.*WEFT_POOL_OVERLAP/,
    );
  });

  test('H2: a state directory has one control plane', async () => {
    const line = ['control', '--config', host.config, '--state-dir', host.stateDir, '--listen', '127.0.0.1:15999'];
    await refused(
      [...line, '--socket', other('run-2/control.sock'), '--stats', 'off'],
      /used by the control plane with pid \d+ \(WEFT_STATE_HELD\)/,
    );
  });

  test('H2: a second agent with another run directory: refused with the name of the holder', async () => {
    const files = [
      '--control-root',
      join(host.runDir, host.node, 'control-root.pem'),
      '--token-file',
      join(host.runDir, host.node, 'token'),
    ];
    const line = ['agent', '--node', host.node, '--control', '127.0.0.1:15012', ...files, '--run-dir', other('run-2')];
    await refused([...line, '--stats', 'off'], new RegExp(`${holder} \\(WEFT_NODE_HELD\\)`));
  });

  test('H2: the node of an agent that was killed goes on with its run directory, and with no other', async () => {
    const { text } = await host.said('status', '--json', '--run-dir', host.runDir);
    const [, pid] = /"pid": (\d+)/.exec(text) ?? [];
    assert.notEqual(pid, undefined);
    // The supervisor starts it again a moment later; until then its node is nobody's but its own.
    process.kill(Number(pid), 'SIGKILL');
    const { code, text: said } = await host.said('agent', '--cleanup', '--node', host.node, '--run-dir', other('run-2'));
    assert.equal(code, 1);
    assert.match(
      said,
      new RegExp(`node ${host.node} (was left by an agent|is held by the agent).*${host.runDir}.*WEFT_NODE_HELD`),
    );
  });
});
