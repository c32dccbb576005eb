import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readLogLine } from '#model/launch/log-line.ts';
import { listenAsManager } from '#platform/linux/process/service-manager.testing.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { WEFT } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

const UNTIL_MS = 10_000;

/** A machine outside the mesh, beside the host. */
const CLIENT = `hour-client-${process.pid}`;
const OUTSIDE = `ip netns add ${CLIENT} && ip link add out0 type veth peer name eth0 netns ${CLIENT} &&
  ip addr add 10.9.0.1/24 dev out0 && ip link set out0 up &&
  ip -n ${CLIENT} addr add 10.9.0.2/24 dev eth0 && ip -n ${CLIENT} link set eth0 up && ip -n ${CLIENT} link set lo up`;

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: default }
spec: { mtls: { mode: STRICT } }
`;

/** Two of a kind; each answers with its name, and takes its time to end. */
const PAIR = `
apiVersion: v1
kind: Service
metadata: { name: pair, namespace: default }
spec: { selector: { app: pair }, ports: [{ name: tcp, port: 7000 }] }
`;
const NAMES =
  "const server = require('net').createServer((s) => s.on('error', () => {}).end(require('os').hostname() + '\\n')).listen(7000, '::', () => console.log('listening')); process.on('SIGTERM', () => server.close(() => process.exit()))";
/** Connects again and again, and prints who answered. */
const ASKING =
  "const ask = () => { let told = ''; const s = require('net').connect(7000, 'pair'); s.setEncoding('utf8').on('data', (t) => (told += t)).on('error', (e) => (told = 'failed ' + e.code + '\\n')).on('close', () => { process.stdout.write(told || 'failed empty\\n'); setTimeout(ask, 2); }); }; ask()";

function allow(source: string): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: front, namespace: default }
spec: { selector: { matchLabels: { app: front } }, action: ALLOW, rules: [{ from: [{ source: { ${source} } }] }] }
`;
}

describe('weft run as people know it from containers', () => {
  const host = new Host();
  before(() => host.up());
  after(async () => {
    await host.close();
    spawnSync('ip', ['netns', 'del', CLIENT]);
  });

  /** Runs a script in a workload to its end. */
  async function ran(name: string, script: string, ...options: string[]): Promise<{ code: number | null; text: string }> {
    const program = await host.run(name, ['sh', '-c', script], ...options);
    return { code: await program.ended, text: program.output() };
  }

  test('H14: variables of the command line count more than those of files and of the user, and a directory is chosen', async () => {
    const file = join(host.root, 'variables');
    writeFileSync(file, '# of the job\nMODE=file\nONLY="in file"\n');
    const options = [
      '--env',
      'MODE=test',
      '--env-file',
      file,
      '-e',
      'HOME=/nowhere',
      '-e',
      'NOT_THERE',
      '--user',
      'nobody',
      '-w',
      '/usr',
    ];
    const { code, text } = await ran('job', 'echo $MODE $ONLY $HOME $(pwd) $(id -un)', ...options);
    assert.equal(code, 0, text);
    assert.match(text, /^weft: there is no variable NOT_THERE here to be passed on$/m);
    assert.match(text, /^test "in file" \/nowhere \/usr nobody$/m);
    writeFileSync(file, 'MODE=file\nexport A=b\n');
    assert.match((await ran('job', 'true', '--env-file', file)).text, /line 2 of .* is no variable \(WEFT_ENV_FILE\)/);
    assert.match((await ran('job', 'true', '-w', '/no-such')).text, /working directory \/no-such does not exist/);
  });

  test('H14: the name is a DNS label, the hostname, and resolves to the own addresses; a service that is called so counts more', async () => {
    const self = '$(getent ahostsv4 "$(hostname)" | head -n 1) $(getent hosts box.default.svc.cluster.local)';
    const { code, text } = await ran(
      'box',
      `echo "$(hostname)" ${self}; hostname -i; ip -o addr show dev eth0 | grep -o "10[0-9.]*/"`,
    );
    assert.equal(code, 0, text);
    const own = /^(10\.41\.0\.\d+)\/$/m.exec(text)?.[1] ?? assert.fail(text);
    assert.match(text, new RegExp(`^box ${own.replaceAll('.', '\\.')} .*box\\.default\\.svc\\.cluster\\.local`, 'm'));
    assert.match((await ran('web', 'getent ahostsv4 web')).text, /^240\./m);
    for (const name of ['Box', 'a_b', 'a.b', '-a', 'a-', 'a'.repeat(64)]) {
      const refused = await ran(name, 'true');
      assert.equal(refused.code, 2, name);
      assert.match(refused.text, /at most 63 lower-case letters, digits and "-"/);
    }
  });

  test('H14: limits of memory and processor time hold, or nothing is started', async () => {
    const eaten = await ran('eater', 'head -c 100m /dev/zero | tail; sleep 0.1; kill -KILL $$', '--memory', '48m');
    assert.match(eaten.text, /ran out of memory/);
    const spin = `${process.execPath} -e 'const end = Date.now() + 800; while (Date.now() < end); console.log("used", Math.round(process.cpuUsage().user / 1000))'`;
    const { text } = await ran('spinner', spin, '--cpus', '0.25', '-m', '1g');
    const used = Number(/used (\d+)/.exec(text)?.[1] ?? assert.fail(text));
    assert.ok(used < 500, `${used} ms of 800 ms`);
    for (const wrong of [
      ['--memory', '5m'],
      ['--memory', 'much'],
      ['--cpus', '0'],
      ['--cpus', 'all'],
    ])
      assert.equal((await ran('job', 'true', ...wrong)).code, 2);
  });

  test('H14: sockets of a service manager are handed on with their names, and other descriptors when asked', async () => {
    const script = 'test "$LISTEN_PID" = $$ && echo "$LISTEN_FDS $LISTEN_FDNAMES $(cat <&3)"';
    const place = ['run', '--user', 'root', '--agent-socket', host.agentSocket, '--name', 'job', '--service-account', 'job'];
    const line = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec "$@" 3<<EOF\nhanded\nEOF\n';
    const given = await host.start('sh', '-c', line, 'sh', WEFT, ...place, '--', 'sh', '-c', script);
    assert.equal(await given.ended, 0, given.output());
    assert.match(given.output(), /^1 web handed$/m);
    const asked = await host.start(
      'sh',
      '-c',
      'exec "$@" 3<<EOF\nasked\nEOF\n',
      'sh',
      WEFT,
      ...place,
      '--preserve-fds',
      '1',
      '--',
      'sh',
      '-c',
      script,
    );
    await asked.ended;
    assert.match(asked.output(), /^1 +asked$/m);
    const absent = await host.weft(...place, '--preserve-fds', '2', '--', 'true');
    assert.equal(await absent.ended, 1);
    assert.match(absent.output(), /nobody gave this process one \(WEFT_DESCRIPTOR\)/);
  });

  test('H12: a service manager hears when the command runs, that this is so, and that it ends; the command does not speak to it', async (t) => {
    const path = join(host.root, 'notify');
    const manager = listenAsManager(path);
    t.after(() => manager.close());
    const told = [`NOTIFY_SOCKET=${path}`, 'WATCHDOG_USEC=300000'];
    const script = 'env | grep -cE "NOTIFY|WATCHDOG"; trap "echo reloads" HUP; trap "exit 3" TERM; while :; do sleep 0.05; done';
    const options = ['--user', 'root', '--agent-socket', host.agentSocket, '--name', 'unit', '--service-account', 'unit'];
    const unit = await host.start('env', ...told, WEFT, 'run', ...options, '--', 'sh', '-c', script);
    const until = (what: string) => waitUntil(what, UNTIL_MS, () => manager.heard().includes(what));
    await unit.until(/^0$/m);
    await until('READY=1');
    await until('WATCHDOG=1');
    unit.child.kill('SIGHUP');
    await unit.until(/reloads/);
    unit.child.kill('SIGTERM');
    assert.equal(await unit.ended, 3, unit.output());
    assert.deepEqual(
      manager.heard().filter((message) => message !== 'WATCHDOG=1'),
      ['READY=1', 'STOPPING=1'],
    );
  });

  test('H14: what ends is started again as it was told, later and later, and weft stop ends that too', async () => {
    const count = join(host.root, 'count');
    const twice = await ran('twice', `echo x >>${count}; exit 3`, '--restart', 'on-failure:2');
    assert.equal(twice.code, 3, twice.text);
    assert.equal(readFileSync(count, 'utf8'), 'x\nx\nx\n');
    assert.match(twice.text, /exit code 3; starting it again in 0\.\d+ s[\s\S]*exit code 3; starting it again in 0\.\d+ s/);
    const never = await ran('never', 'true', '--restart', 'on-failure');
    assert.deepEqual(never, { code: 0, text: '' });
    const loop = await host.run('loop', ['sh', '-c', 'echo again'], '--restart', 'always');
    await loop.until(/(again[\s\S]*){4}/);
    const second = await ran('loop', 'true');
    assert.match(second.text, /run on this node already, by the weft run with pid \d+ \(WEFT_WORKLOAD_EXISTS\)/);
    assert.match((await host.said('ps', 'loop', '--run-dir', host.runDir)).text, /default +loop/);
    assert.equal((await host.said('stop', 'loop', '--run-dir', host.runDir)).code, 0);
    await loop.ended;
    assert.match((await host.said('ps', 'loop', '--run-dir', host.runDir)).text, /^no workloads$/m);
    const absent = await host.run('absent', ['no-such'], '--restart', 'always');
    assert.equal(await absent.ended, 127);
  });

  test('H14: in the background it says so once it runs, outlives its terminal, and keeps what is printed', async () => {
    const options = ['--user', 'root', '--detach', ...host.place, '--node', host.node, '--service-account', 'back'];
    const detach = (...words: string[]) => host.said('run', ...options, '--name', ...words);
    const script = 'echo to out; echo to err >&2; printf "no end"; trap "echo ends; exit 5" TERM; while :; do sleep 0.05; done';
    const started = await detach('back', '--restart', 'always', '--', 'sh', '-c', script);
    assert.deepEqual(started, { code: 0, text: 'default/back\n' });
    const log = join(host.stateDir, `logs/workload-default.back@${host.node}.log`);
    await waitUntil('what it prints', UNTIL_MS, () => /to err/.test(readFileSync(log, 'utf8')));
    assert.equal((await host.said('stop', 'back', '--run-dir', host.runDir)).code, 0);
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    const kept = lines.map((line) => readLogLine(line) ?? assert.fail(line)).map(({ stream, text }) => `${stream} ${text}`);
    // A shell may tell how its sleep ended.
    const own = kept.filter((line) => line !== 'stderr Terminated').toSorted();
    assert.deepEqual(own, ['stderr to err', 'stdout no endends', 'stdout to out']);
    for (const [words, says] of [
      [['gone', '--', 'no-such'], /did not start \(WEFT_RUN_FAILED\)[\s\S]*there is no command "no-such"/],
      [['gone', '--env-file', '/no-such', '--', 'true'], /cannot read the variables in \/no-such \(WEFT_ENV_FILE\)/],
    ] as const)
      assert.match((await detach(...words)).text, says);
  });

  test('H15: weft logs shows what is printed in the background, as it comes, and what is kept of one that has ended', async () => {
    const place = ['--run-dir', host.runDir, '--state-dir', host.stateDir];
    const options = ['--user', 'root', ...host.place, '--service-account', 'back'];
    const back = (name: string, script: string) => host.said('run', '-d', ...options, '--name', name, '--', 'sh', '-c', script);
    const following = await host.weft('logs', 'printer', '-f', ...place);
    assert.match(following.output() + (await following.ended), /1$/); // there is none yet
    const go = join(host.root, 'go');
    await back('printer', `echo one; echo two >&2; while ! [ -e ${go} ]; do sleep 0.05; done; echo three`);
    const follower = await host.weft('logs', 'printer', '--follow', '--tail', '1', ...place);
    await follower.until(/two/);
    writeFileSync(go, '');
    assert.equal(await follower.ended, 0);
    assert.equal(follower.output(), 'two\nthree\n');
    const whole = await host.said('logs', 'printer', '-t', ...place);
    const timed = whole.text
      .trimEnd()
      .split('\n')
      .map((line) => /^\d{4}-\S+Z (\w+)$/.exec(line)?.[1]);
    assert.deepEqual(timed.toSorted(), ['one', 'three', 'two']); // two pipes have no order
    assert.equal((await host.said('logs', 'printer', '--since', '1h', '-n', '1', ...place)).text, 'three\n');
    assert.match((await host.said('logs', 'nobody', ...place)).text, /there is no log of default\/nobody \(WEFT_NO_LOG\)/);
    assert.match(
      (await host.said('logs', ...place)).text,
      new RegExp(`^printer  --namespace default  --node ${host.node}$`, 'm'),
    );
  });

  test('H15: weft exec is the workload: its address, names, hostname, processes, user, variables, limits and rights', async () => {
    const look =
      'echo "$(hostname) $(id -un) $(pwd) $MODE $(cat /proc/1/comm)"; ip -o -4 addr show dev eth0 | grep -o "10[0-9.]*/"; grep -E "CapBnd|NoNewPrivs|Seccomp:" /proc/self/status; cat /proc/self/cgroup; ls /run/weft /var/lib/weft 2>/dev/null | wc -l';
    const options = ['--user', 'nobody', '--env', 'MODE=in', '-w', '/usr', '--memory', '64m'];
    const target = await host.run('target', ['sh', '-c', `${look}; echo ready; exec sleep 1000`], ...options);
    await target.until(/ready/);
    const exec = (...words: string[]) => host.said('exec', '--run-dir', host.runDir, ...words);
    const same = await exec('target', '--', 'sh', '-c', look);
    assert.deepEqual(same, { code: 0, text: target.output().replace('ready\n', '') });
    assert.match(same.text, /^target nobody \/usr in sh$/m);
    assert.equal((await exec('-e', 'MODE=mine', 'target', 'sh', '-c', 'echo $MODE; exit 7')).code, 7);
    assert.match(
      (await exec('--user', '0', '-w', '/', 'target', '--', 'sh', '-c', 'id -u; pwd; echo $HOME')).text,
      /^0\n\/\n\/root$/m,
    );
    const killed = await host.weft(
      'exec',
      '--run-dir',
      host.runDir,
      'target',
      '--',
      'sh',
      '-c',
      'trap "exit 9" TERM; echo here; while :; do sleep 0.05; done',
    );
    await killed.until(/here/);
    killed.child.kill('SIGTERM');
    assert.equal(await killed.ended, 9);
    assert.match((await exec('target', '--', 'no-such')).text, /there is no command "no-such" \(WEFT_NO_COMMAND\)/);
    assert.match(
      (await exec('nobody', '--', 'true')).text,
      /no workload default\/nobody runs on this machine \(WEFT_NO_WORKLOAD\)/,
    );
    const orphan = await host.weft('exec', '--run-dir', host.runDir, 'target', '--', 'sh', '-c', 'echo here; exec sleep 1000');
    await orphan.until(/here/);
    assert.equal((await host.said('stop', 'target', '--run-dir', host.runDir)).code, 0);
    assert.equal(await orphan.ended, 143);
  });

  test('H16: a port of the machine leads to the workload, for peers without identity whose address policy and app see', async () => {
    const serve =
      "require('http').createServer((q, a) => a.end('hello ' + q.socket.remoteAddress + '\\n')).listen(8080, () => console.log('listening'))";
    const ports = ['--publish', '8000:8080', '-p', '[::1]:8000:8080', '-p', '10.9.0.1:8001:8080'];
    const outside = await host.start('sh', '-c', OUTSIDE);
    assert.equal(await outside.ended, 0, outside.output());
    const web = await host.run('front', [process.execPath, '-e', serve], '--label', 'app=front', ...ports);
    await web.until(/listening/);
    const ask = async (from: 'here' | 'outside', url: string): Promise<string> => {
      const enter = from === 'here' ? [] : ['nsenter', `--net=/run/netns/${CLIENT}`, '--'];
      const curl = await host.start(...enter, 'curl', '-sS', '-m', '5', url);
      return (await curl.ended) === 0 ? curl.output() : 'refused';
    };
    assert.match(await ask('here', 'http://localhost:8000/'), /^hello (::ffff:)?127\.0\.0\.1$/m);
    assert.match(await ask('here', 'http://[::1]:8000/'), /^hello ::1$/m);
    assert.match(await ask('outside', 'http://10.9.0.1:8000/'), /^hello (::ffff:)?10\.9\.0\.2$/m);
    assert.match(await ask('outside', 'http://10.9.0.1:8001/'), /^hello (::ffff:)?10\.9\.0\.2$/m);
    assert.equal(await ask('here', 'http://127.0.0.1:8001/'), 'refused');
    const shown = await host.said('ps', 'front', '-o', 'wide', '--run-dir', host.runDir);
    assert.match(shown.text, /0\.0\.0\.0:8000->8080\/tcp, \[::1\]:8000->8080\/tcp, 10\.9\.0\.1:8001->8080\/tcp/);

    const apply = async (policy: string, from: 'here' | 'outside', want: RegExp): Promise<void> => {
      writeFileSync(join(host.config, 'front.yaml'), policy);
      await waitUntil(`${want} from ${from}`, UNTIL_MS, async () => want.test(await ask(from, 'http://10.9.0.1:8000/')));
    };
    await apply(allow('ipBlocks: [10.9.0.2/32]'), 'here', /^refused$/);
    assert.match(await ask('outside', 'http://10.9.0.1:8000/'), /^hello/);
    await apply(allow('notIpBlocks: [10.9.0.2/32]'), 'outside', /^refused$/);
    assert.match(await ask('here', 'http://10.9.0.1:8000/'), /^hello/);
    await apply(allow('namespaces: [default]'), 'here', /^refused$/);
    await apply('', 'here', /^hello/);
    await apply(STRICT, 'here', /^refused$/);
    assert.equal(await ask('outside', 'http://10.9.0.1:8000/'), 'refused');
    await apply('', 'outside', /^hello/);

    const taken = await ran('second', 'true', '-p', '8000:80');
    assert.equal(taken.code, 1);
    assert.match(taken.text, /published at 0\.0\.0\.0:8000: another workload .* listens there \(WEFT_PORT_TAKEN\)/);
    const other = await host.start(
      process.execPath,
      '-e',
      'require("net").createServer().listen(8002, () => console.log("here"))',
    );
    await other.until(/here/);
    assert.match(
      (await ran('second', 'true', '-p', '8002:80')).text,
      new RegExp(`node \\(pid ${other.child.pid}\\) listens there`),
    );
    assert.match((await ran('second', 'true', '-p', '192.0.2.1:8003:80')).text, /name an address that this machine has/);
    assert.equal((await ran('second', 'true', '-p', '53:53/udp')).code, 2);
    // An agent that comes after one that was killed serves the port again.
    const agent = agentClient(host.agentSocket);
    const { pid } = await agent.status();
    process.kill(pid, 'SIGKILL');
    await waitUntil('another agent', UNTIL_MS, async () => (await agent.status().catch(() => ({ pid }))).pid !== pid);
    await waitUntil('the port, served again', UNTIL_MS, async () => /^hello/.test(await ask('here', 'http://127.0.0.1:8000/')));
    assert.equal((await host.said('stop', 'front', '--run-dir', host.runDir)).code, 0);
    assert.equal(await ask('here', 'http://127.0.0.1:8000/'), 'refused');
  });

  test('H22: shares follow the weights; what drains gets nothing new, what is stopped fails nobody, and what is open goes on', async () => {
    writeFileSync(join(host.config, 'pair.yaml'), PAIR);
    for (const [name, weight] of [
      ['heavy', '3'],
      ['light', '1'],
    ] as const) {
      const server = await host.run(name, [process.execPath, '-e', NAMES], '--label', 'app=pair', '--weight', weight);
      await server.until(/listening/);
    }
    const client = await host.run('asking', [process.execPath, '-e', ASKING]);
    /** Who answered since the last time, how often. */
    const answers = async (wait: RegExp): Promise<Record<string, number>> => {
      const from = client.output().length;
      await waitUntil(`${wait} from the service`, UNTIL_MS, async () => wait.test(client.output().slice(from)));
      const words =
        client
          .output()
          .slice(from)
          .match(/heavy|light|failed.*/g) ?? [];
      return Object.fromEntries([...Map.groupBy(words, (word) => word)].map(([word, all]) => [word, all.length]));
    };
    const { heavy = 0, light = 0, ...others } = await answers(/(?:(?:heavy|light)\n){400}/);
    assert.deepEqual(others, {});
    assert.ok(heavy / (heavy + light) > 0.65 && heavy / (heavy + light) < 0.85, `${heavy} of ${heavy + light}`);
    const drained = await host.said('drain', 'heavy', '--run-dir', host.runDir);
    assert.deepEqual(drained, { code: 0, text: 'default/heavy: gets no new connections\n' });
    assert.match((await host.said('ps', 'heavy', '--run-dir', host.runDir)).text, /draining/);
    assert.deepEqual(
      Object.keys(await answers(/(?:light\n){50}/)).filter((word) => word.startsWith('failed')),
      [],
    );
    assert.deepEqual(Object.keys(await answers(/(?:\w+\n){50}/)), ['light']);
    await host.said('drain', '--undo', 'heavy', '--run-dir', host.runDir);
    await answers(/heavy\n/);
    const before = client.output().length;
    assert.equal((await host.said('stop', 'heavy', '--run-dir', host.runDir)).code, 0);
    await answers(/(?:light\n){50}/);
    assert.doesNotMatch(client.output().slice(before), /failed/);
    assert.equal((await host.said('stop', 'light', 'asking', '--run-dir', host.runDir)).code, 0);
    assert.equal((await ran('third', 'true', '--weight', '0')).code, 2);
  });
});
