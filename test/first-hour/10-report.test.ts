import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import type { Program } from '../e2e/programs.testing.ts';
import { Machine } from './machine.testing.ts';

const MESH = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default, labels: { istio.io/use-waypoint: gate } }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gate, namespace: default }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;

describe('looking closer at a mesh that runs', () => {
  const machine = new Machine();
  let up: Program;

  before(async () => {
    await machine.boot();
    mkdirSync(machine.path('mesh'));
    writeFileSync(machine.path('mesh/web.yaml'), MESH);
    up = machine.type('exec weft up mesh --node one');
    await up.until(/The mesh is up/);
    await machine.done('for i in $(seq 200); do [ -S /run/weft/waypoints/default.gate.sock ] && exit 0; sleep 0.1; done; exit 1');
  });
  after(() => machine.close());

  test('H18: the log of each part tells as much as it is told to, from then on', async () => {
    const levels = async (words = ''): Promise<unknown> => JSON.parse(await machine.done(`weft log-level ${words} -o json`));
    const told = (control: string, agent: string, waypoint: string) => [
      { component: 'control', level: control, error: null },
      { component: 'agent/one', level: agent, error: null },
      { component: 'waypoint/default/gate', level: waypoint, error: null },
    ];
    assert.deepEqual(await levels(), told('info', 'info', 'info'));
    const look = (name: string) =>
      machine.done(`weft run --user nobody --name ${name} --service-account ${name} -- getent hosts web.default`);
    const heard = (): string => up.output().slice(before);
    let before = up.output().length;
    await look('first');
    assert.doesNotMatch(heard(), / DEBUG /);
    assert.deepEqual(await levels('debug waypoint=error agent/one=debug'), told('debug', 'debug', 'error'));
    before = up.output().length;
    await look('second');
    await up.until(new RegExp(`^[\\s\\S]{${before}}[\\s\\S]* DEBUG agent: DNS query`));
    await up.until(new RegExp(`^[\\s\\S]{${before}}[\\s\\S]* DEBUG control: `));
    assert.deepEqual(await levels('warn'), told('warn', 'warn', 'warn'));
    before = up.output().length;
    await look('third');
    assert.doesNotMatch(heard(), / (DEBUG|INFO) +(agent|control): /);
    await levels('info');
  });

  test('H19: weft ps --watch shows workloads come and go; weft status has forms for programs, and more for people', async () => {
    const watching = machine.type('exec weft ps --watch');
    await watching.until(/gate +one +\S+ +ready/);
    const job = machine.type('weft run --user nobody --name job --service-account job -- sh -c "echo begun; exec sleep 100"');
    await job.until(/begun/);
    await watching.until(/job +one +job +ready/);
    await machine.done('weft stop job');
    await watching.until(/job +one +job +ready[\s\S]*\n\nNAMESPACE(?![\s\S]*job)/);
    assert.ok(!watching.output().includes('\u001b'), 'a pipe gets the text alone');
    watching.child.kill();
    const [json, yaml, wide] = await Promise.all(['json', 'yaml', 'wide'].map((form) => machine.done(`weft status -o ${form}`)));
    const keys = ['version', 'nowMs', 'nodes', 'control'];
    assert.deepEqual(Object.keys(JSON.parse(json ?? '')), keys);
    assert.deepEqual(Object.keys(parse(yaml ?? '')), keys);
    assert.match(wide ?? '', /Clients\n +CLIENT +FROM[\s\S]* UID\n[\s\S]*\/default\/gate\n/);
  });

  test('H18: a part that is not there, and a level that is none, are refused with those that are', async () => {
    assert.match(await machine.done('weft log-level agent/two=debug 2>&1', { code: 1 }), /agent\/one, waypoint\/default\/gate/);
    assert.match(await machine.done('weft log-level loud 2>&1', { code: 2 }), /debug, info, warn, error, silent/);
  });

  test('H20: a report of a mesh that runs has what a fault is found by, and none of its keys, tokens and secrets', async () => {
    const [value, printed] = ['pl4nted-value', 'pl4nted-output'];
    writeFileSync(machine.path('mesh/secret.yaml'), `kind: Secret\nmetadata: { name: db }\nstringData: { word: ${value} }\n`);
    await machine.done(`weft run --detach --user nobody --name talker --service-account talker --env WORD=${value} \
      -- sh -c 'echo ${printed}; exec sleep 100'`);
    const kept = await machine.done('cat /var/lib/weft/*-key.pem /run/weft/one/token /run/weft/waypoints/*.token');
    const secrets = [value, printed, ...kept.split('\n').filter((line) => /^[A-Za-z0-9+/=._-]{20,}$/.test(line))];
    assert.ok(secrets.length >= 6, `${secrets.length} secrets`);
    assert.match(await machine.done('weft bug-report report.tar.gz'), /report\.tar\.gz: \d+ files, \d+ KiB\n/);
    assert.equal(
      await machine.done('stat -c %a report.tar.gz && tar -xzf report.tar.gz && mv weft-bug-report-* report'),
      '600\n',
    );
    const files = readdirSync(machine.path('report'), { recursive: true, encoding: 'utf8' });
    const all = new Map(
      files.filter((file) => /\.\w+$/.test(file)).map((file) => [file, readFileSync(machine.path(`report/${file}`), 'utf8')]),
    );
    for (const [file, text] of all) for (const secret of secrets) assert.ok(!text.includes(secret), `${file} has ${secret}`);
    const holds = (file: string, what: RegExp): void => assert.match(all.get(file) ?? '', what, file);
    holds('README.txt', /^Weft .*\n[\s\S]*\n {2}status\.json\n/);
    holds('status.json', /"waypoints"/);
    holds('check.txt', /^ok +machine$/m);
    holds('resources/web.yaml', /name: gate/);
    holds('resources/secret.yaml', /name: db/);
    holds('logs/waypoint-default.gate.log', /waypoint is serving/);
    holds('bpf/pins.txt', /\/weft\/one\/links\//);
    holds('parts/agent.one.txt', /weft.*agent[\s\S]*Max open files/);
    holds('parts/agent.one.bpf.txt', /map_type/);
    holds('parts/control.txt', /--config/);
    holds('network/addresses.txt', /10\.9\.0\.2/);
    assert.match(
      await machine.done('weft bug-report report.tar.gz 2>&1', { code: 1 }),
      /WEFT_REPORT_FILE\)\n.*there already.*\nremedy:/,
    );
    await machine.done('weft stop talker');
  });

  test('H19: on a terminal it is said what takes longer than a second, and gone when it is done; elsewhere not', async () => {
    const { nodes } = JSON.parse(await machine.done('weft status -o json'));
    const { pid } = nodes[0].status;
    await machine.done(`kill -STOP ${pid}`);
    const [seen, piped] = await Promise.all([
      machine.done('script -qec "weft status" /dev/null'),
      machine.done('weft status 2>&1'),
    ]);
    await machine.done(`kill -CONT ${pid}`);
    const line = (seconds: number): string => `\rweft: asking the parts of the mesh … ${seconds} s\u001b[K`;
    assert.ok(seen.startsWith(`${line(1)}${line(2)}`), JSON.stringify(seen.slice(0, 200)));
    assert.ok(seen.includes('s\u001b[K\r\u001b[KNodes'), JSON.stringify(seen.slice(0, 600)));
    assert.match(piped, /^Nodes/);
    for (const text of [seen, piped]) assert.match(text, /node one: its agent does not answer/);
  });
});
