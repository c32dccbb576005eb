import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import type { Program } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

/** Says when it is asked to end, takes a moment, and says when it has. */
const GENTLE = ['sh', '-c', 'trap "echo asked; sleep 0.5; echo done; exit 7" TERM; echo here; while :; do sleep 0.05; done'];
/** Will not end by being asked. */
const STUBBORN = ['sh', '-c', 'trap "echo asked" TERM; echo here; while :; do sleep 0.05; done'];

const UNTIL_MS = 10_000;

/** Whether a process of ours with these words lives. */
function lives(words: string): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(words);
    } catch {
      return false;
    }
  });
}

async function here(host: Host, name: string, command: readonly string[]): Promise<Program> {
  const program = await host.run(name, command);
  await program.until(/here/);
  return program;
}

describe('the end of weft up', () => {
  // At once: what takes time here is waiting.
  const hosts = [new Host(), new Host(), new Host()];
  after(() => Promise.all(hosts.map((host) => host.close())));

  test('H3: by Ctrl-C, SIGTERM or its terminal, workloads are asked first and end by themselves', async () => {
    const ends = (['SIGHUP', 'SIGTERM', 'SIGINT'] as const).map(async (signal, at) => {
      const host = hosts[at] ?? assert.fail();
      const up = await host.up();
      const gentle = await here(host, 'gentle', GENTLE);
      up.child.kill(signal);
      assert.equal(await up.ended, 0, up.output());
      assert.equal(await gentle.ended, 7, gentle.output());
      assert.match(gentle.output(), /asked\ndone/);
      assert.equal(existsSync(host.runDir), false);
    });
    for (const end of await Promise.allSettled(ends)) if (end.status === 'rejected') throw end.reason;
  });
});

describe('the end of a workload', () => {
  const host = new Host();
  before(() => host.up());
  after(() => host.close());

  test('H3: weft stop asks, waits as long as it is told, and then kills', async () => {
    const [gentle, stubborn] = await Promise.all([here(host, 'gentle', GENTLE), here(host, 'stubborn', STUBBORN)]);
    const place = ['--run-dir', host.runDir];
    assert.equal((await host.said('stop', 'gentle', ...place)).code, 0);
    assert.equal(await gentle.ended, 7);
    const { code, text } = await host.said('stop', 'stubborn', '--grace', '1s', ...place);
    assert.equal(code, 0, text);
    assert.equal(await stubborn.ended, 137);
    assert.match(stubborn.output(), /asked/);
    assert.match((await host.said('ps', ...place)).text, /^no workloads$/m);
    assert.match((await host.said('stop', 'gentle', ...place)).text, /WEFT_NO_WORKLOAD/);
  });

  test('H3: a weft run that is killed leaves neither an orphan nor a name that is taken', async () => {
    const words = `orphan-${host.node}`;
    const run = await here(host, 'job', [
      'sh',
      '-c',
      `echo here; (sleep 1000; : ${words}) & setsid sh -c 'sleep 1000; : ${words}' & wait`,
    ]);
    // The program is nsenter's child by exec: its id is that of weft run.
    run.child.kill('SIGKILL');
    await run.ended;
    await waitUntil('end of what it started', UNTIL_MS, () => !lives(words));
    const again = await here(host, 'job', GENTLE);
    assert.match((await host.said('ps', '--run-dir', host.runDir)).text, /default +job/);
    again.child.kill('SIGTERM');
    assert.equal(await again.ended, 7);
  });

  test('H3: on uninstall it is asked, too', async () => {
    const gentle = await here(host, 'gentle', GENTLE);
    const { code, text } = await host.said('uninstall', '--yes', ...host.place);
    assert.equal(code, 0, text);
    assert.equal(await gentle.ended, 7);
    assert.match(gentle.output(), /asked\ndone/);
  });
});

describe('what goes on', () => {
  let host = new Host();
  afterEach(async () => {
    await host.close();
    host = new Host();
  });
  after(() => host.close());

  test('H3: what an up that was killed left goes on, and the next one takes it on as it is', async () => {
    const first = await host.up();
    const gentle = await here(host, 'gentle', GENTLE);
    const pids = async (): Promise<string[]> => [
      ...new Set(
        [...(await host.said('status', '--json', '--run-dir', host.runDir)).text.matchAll(/"pid": (\d+)/g)].map(
          ([, pid]) => pid ?? '',
        ),
      ),
    ];
    const before = await pids();
    first.child.kill('SIGKILL');
    await once(first.child, 'exit'); // its parts live on, and hold its output open
    const second = await host.up();
    assert.deepEqual(await pids(), before);
    assert.equal(before.length, 2);
    const third = await host.said('up', host.config, '--node', host.node, ...host.place);
    assert.match(third.text, /weft up has pid \d+.*WEFT_ALREADY_RUNNING/);
    second.child.kill('SIGTERM');
    assert.equal(await second.ended, 0, second.output());
    assert.equal(await gentle.ended, 7);
    assert.equal(existsSync(host.runDir), false);
  });

  test('H3: in the background it says so when it is up, tells into its log, and ends by uninstall', async () => {
    const { code, text } = await host.said('up', '--detach', host.config, '--node', host.node, ...host.place);
    assert.equal(code, 0, text);
    assert.match(text, /The mesh is up/);
    const gentle = await here(host, 'gentle', GENTLE);
    assert.match(readFileSync(join(host.stateDir, 'logs/up.log'), 'utf8'), /agent is running/);
    assert.equal((await host.said('uninstall', '--yes', '--keep-state', ...host.place)).code, 0);
    assert.equal(await gentle.ended, 7);
    await waitUntil('end of weft up', UNTIL_MS, () => !existsSync(host.runDir));
    const nowhere = ['--listen', '192.0.2.1:15012'];
    const again = await host.said('up', '--detach', host.config, '--node', host.node, ...host.place, ...nowhere);
    assert.equal(again.code, 1);
    assert.match(again.text, /did not come up \(WEFT_UP_FAILED\)[\s\S]*192\.0\.2\.1:15012: no interface of this machine has/);
  });
});
