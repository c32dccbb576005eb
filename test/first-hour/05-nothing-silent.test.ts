import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import type { Program } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

const UNTIL_MS = 15_000;

const policy = (name: string, namespace: string, spec: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${spec} }
---`;

/** Each is valid, and none of it does anything: nobody is called so. */
const IDLE = [
  policy('selects', 'default', 'selector: { matchLabels: { app: wbe } }, rules: [{}]'),
  policy('placed', 'shpo', 'rules: [{}]'),
  policy('sources', 'default', 'action: DENY, rules: [{ from: [{ source: { namespaces: [bnak] } }] }]'),
  policy(
    'accounts',
    'default',
    'action: DENY, rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/clinet] } }] }]',
  ),
].join('\n');

/** Two services without anything behind them, one by way of a waypoint. */
const EMPTY = `
apiVersion: v1
kind: Service
metadata: { name: front, namespace: default, labels: { istio.io/use-waypoint: gate } }
spec: { selector: { app: nothing }, ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gate, namespace: default, labels: { istio.io/waypoint-for: service } }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;
const JSON_SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'empty', namespace: 'default' },
  spec: { selector: { app: 'nothing' }, ports: [{ name: 'http', port: 80 }] },
};

describe('nothing is silent', () => {
  const host = new Host();
  let up: Program;
  before(async () => {
    writeFileSync(join(host.config, 'idle.yaml'), IDLE);
    writeFileSync(join(host.config, 'front.yml'), EMPTY);
    writeFileSync(join(host.config, 'empty.json'), JSON.stringify(JSON_SERVICE));
    for (const name of ['LOUD.YAML', 'old.yaml.bak', 'notes.txt']) writeFileSync(join(host.config, name), EMPTY);
    up = await host.up();
  });
  after(() => host.close());

  const status = async (): Promise<string> => (await host.said('status', '--run-dir', host.runDir)).text;
  const outOfDate = async (): Promise<string> => (await status()).split('Out of date\n')[1] ?? '';

  /** Runs a workload to its end. */
  async function ran(...command: string[]): Promise<{ code: number | null; text: string }> {
    const program = await host.run('job', command);
    return { code: await program.ended, text: program.output() };
  }

  test('H5: a policy whose selector, namespace or account matches nothing is told, and a file that is not read', async () => {
    const text = await status();
    for (const said of [
      /AuthorizationPolicy default\/selects spec\.selector: it selects no workload now/,
      /AuthorizationPolicy shpo\/placed metadata\.namespace: it applies to no workload now: namespace shpo has none/,
      /AuthorizationPolicy default\/sources spec\.rules: no workload of namespace bnak is in the mesh now/,
      /AuthorizationPolicy default\/accounts spec\.rules: no workload runs as service account default\/clinet now/,
      /LOUD\.YAML:1: warning: it is not read/,
      /old\.yaml\.bak:1: warning: it is not read/,
      /notes\.txt:1: warning: it is not read/,
    ])
      assert.match(text, said);
    assert.doesNotMatch(text, /(empty\.json|front\.yml):/);
  });

  test('H5: what nothing is behind is named to the client of a waypoint, and in the log', async () => {
    const asked = await ran(
      'sh',
      '-c',
      'for n in 1 2 3 4 5 6 7 8 9; do curl -sS -m 5 http://front.default/ && exit 0; sleep 0.3; done',
    );
    assert.match(asked.text, /no healthy upstream: front\.default\.svc\.cluster\.local/);
    // The service of the JSON file.
    const direct = await ran('curl', '-sS', '-m', '5', 'http://empty.default/');
    assert.equal(direct.code, 7, direct.text);
    await up.until(
      /dst\.service=empty\.default\.svc\.cluster\.local .*cause=no-backend error="the service has no healthy endpoint"/,
    );
  });

  test('H5: a configuration that cannot be read is out of date, and no longer when it can', async () => {
    const until = (what: string, holds: (text: string) => boolean): Promise<true> =>
      waitUntil(what, UNTIL_MS, async () => holds(await outOfDate()) || null) as Promise<true>;
    const unread = /cannot read|does not exist/;
    assert.doesNotMatch(await outOfDate(), unread);
    symlinkSync(join(host.root, 'gone'), join(host.config, 'broken.yaml'));
    await until('word of the file', (text) => /cannot read .*broken\.yaml: .*what it said before is in force/.test(text));
    unlinkSync(join(host.config, 'broken.yaml'));
    renameSync(host.config, `${host.config}.away`);
    await until('word of the folder', (text) => /directory .* does not exist; what it said before is in force/.test(text));
    renameSync(`${host.config}.away`, host.config);
    await until('silence', (text) => !unread.test(text));
  });

  test('H5: a command that was killed is told so, and memory is blamed only when the kernel counts it', async () => {
    const { code, text } = await ran('sh', '-c', 'kill -9 $$');
    assert.equal(code, 137);
    assert.match(
      text,
      /weft: the command was killed \(SIGKILL\) by itself, by somebody else, or because its time to end was over/,
    );
    assert.doesNotMatch(text, /killed: it ran out of memory/);
  });

  test('H5: a program that goes into the background is not ended without a word', async () => {
    const { code, text } = await ran('sh', '-c', '(setsid sh -c "sleep 1000 & sleep 1000" &) ; exit 0');
    assert.equal(code, 0);
    assert.match(text, /left processes in the background \(\d\), which end with it: run it in the foreground/);
  });

  test('H5: what cannot be run is told in a sentence with its name, and where it was looked for', async () => {
    const dir = join(host.root, 'programs');
    mkdirSync(dir);
    writeFileSync(join(dir, 'script'), '#!/no/such/shell\n');
    writeFileSync(join(dir, 'plain'), '');
    chmodSync(join(dir, 'script'), 0o755);
    const ends: [string, number, RegExp][] = [
      ['no-such-program', 127, /there is no command "no-such-program" .*\nremedy: .*PATH is \/.*:/],
      [join(dir, 'plain'), 126, /\/plain may not be executed/],
      [join(dir, 'script'), 127, /\/script is a script for \/no\/such\/shell, which is not there/],
    ];
    const said = await Promise.all(
      ends.map(async ([command], at) => {
        const program = await host.run(`end-${at}`, [command]);
        return { code: await program.ended, text: program.output() };
      }),
    );
    for (const [at, [command, code, words]] of ends.entries()) {
      assert.equal(said[at]?.code, code, command);
      assert.match(said[at]?.text ?? '', words);
      assert.doesNotMatch(said[at]?.text ?? '', /exec:/);
    }
  });
});
