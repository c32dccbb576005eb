import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WEFT } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

const SERVE = "require('http').createServer((q, a) => a.end('hello')).listen(8080, () => console.log('listening'))";
const ASK = 'curl -sS -m 3 http://web.default/';
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: default }
spec: { action: DENY, rules: [{ from: [{ source: { namespaces: [default] } }] }] }
`;

/** Workloads start and talk, and a policy that is written now comes into force. */
async function assertWorks(host: Host): Promise<void> {
  const web = await host.run('web', [process.execPath, '-e', SERVE], '--label', 'app=web');
  await web.until(/listening/);
  const client = await host.run('client', ['sh', '-c', `for i in 1 2 3 4 5 6 7 8; do ${ASK} && exit 0; sleep 0.3; done; exit 1`]);
  assert.equal(await client.ended, 0, client.output());
  assert.match(client.output(), /hello/);
  writeFileSync(join(host.config, 'deny.yaml'), DENY);
  for (let tries = 0; ; tries++) {
    const refused = await host.run('client', ['sh', '-c', ASK]);
    if ((await refused.ended) !== 0) break;
    assert.ok(tries < 10, 'the policy never came into force');
    await sleep(300);
  }
  const { code, text } = await host.said('status', '--run-dir', host.runDir);
  assert.equal(code, 0, text);
}

describe('what watches', () => {
  let host = new Host();
  let mounted: string[] = [];
  afterEach(async () => {
    await host.close().catch(() => {});
    for (const path of mounted) execFileSync('umount', ['--lazy', path]);
    mounted = [];
    host = new Host();
  });

  /** Starts a mesh by a line of a shell, with the command in `$@`. */
  async function upBy(script: string): Promise<void> {
    await host.start('sh', '-c', script, 'sh', WEFT, 'up', host.config, '--node', host.node, ...host.place);
    for (let tries = 0; ; tries++) {
      const { code, text } = await host.said('status', '--json', '--run-dir', host.runDir);
      if (code === 0 && /"syncedAt": "/.test(text)) return;
      assert.ok(tries < 60, `it did not come up: ${text}`);
      await sleep(250);
    }
  }

  test('H4: a log that has no room is lost, and nothing else', async () => {
    await upBy('exec "$@" >/dev/full 2>/dev/full');
    await assertWorks(host);
  });

  test('H4: a reader of the log that goes takes nothing with it', async () => {
    await upBy('"$@" 2>&1 | head -n 1');
    await assertWorks(host);
  });

  test('H4: with the disk of the state full, connections and policy go on', async () => {
    mkdirSync(host.stateDir);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', host.stateDir]);
    mounted.push(host.stateDir);
    await upBy('exec "$@"');
    execFileSync('sh', ['-c', `dd if=/dev/zero of=${host.stateDir}/ballast bs=64k 2>/dev/null; true`]);
    await assertWorks(host);
  });
});
