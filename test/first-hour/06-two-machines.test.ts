import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Program, Programs, ROOT } from '../e2e/programs.testing.ts';

/** The commands of a section of the README, a line each, without comments. */
function commandsOf(section: string): string[] {
  const [, body = ''] = readFileSync(join(ROOT, 'README.md'), 'utf8').split(`## ${section}\n`);
  const [, script = ''] = /```sh\n([\s\S]*?)```/.exec(body) ?? [];
  const lines = script.replaceAll(/\\\n\s*/g, ' ').split('\n');
  return lines.map((line) => line.replace(/\s+#.*$/, '')).filter((line) => line !== '');
}

/** A machine of its own, as far as Weft can tell: network, mounts, /run, /var/lib, and a folder to work in. */
class Machine {
  readonly home: string;
  readonly #programs: Programs;
  readonly #keeper: Program;

  constructor(root: string, name: string, programs: Programs) {
    this.home = join(root, name);
    mkdirSync(this.home);
    this.#programs = programs;
    const script = `
      mount -t tmpfs none /run && mount -t tmpfs none /var/lib && ip link set lo up && echo ready && exec sleep 1000`;
    this.#keeper = programs.start(['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-c', script]);
  }

  get pid(): number {
    return this.#keeper.child.pid ?? 0;
  }

  ready(): Promise<void> {
    return this.#keeper.until(/ready/);
  }

  /** Runs a line as a person of this machine would type it. */
  type(line: string): Program {
    const path = `${join(ROOT, 'bin')}:${join(this.home, '..', 'bin')}:${process.env.PATH}`;
    const inside = ['nsenter', `--net=/proc/${this.pid}/ns/net`, `--mount=/proc/${this.pid}/ns/mnt`, `--wd=${this.home}`];
    return this.#programs.start([...inside, '--', 'env', `PATH=${path}`, 'bash', '-c', line]);
  }

  async done(line: string): Promise<string> {
    const program = this.type(line);
    assert.equal(await program.ended, 0, `${line}: ${program.output()}`);
    return program.output();
  }
}

describe('two machines by the steps of the README', () => {
  const root = mkdtempSync(join(tmpdir(), 'weft-two-'));
  const programs = new Programs();
  const one = new Machine(root, 'node-1', programs);
  const two = new Machine(root, 'node-2', programs);

  before(async () => {
    await Promise.all([one.ready(), two.ready()]);
    await one.done(`ip link add lan0 type veth peer name lan0 netns ${two.pid}`);
    for (const [at, machine] of [one, two].entries())
      await machine.done(
        `ip addr add 10.0.0.${at + 1}/24 dev lan0 && ip addr add fd00::${at + 1}/64 dev lan0 nodad && ip link set lan0 up`,
      );
    mkdirSync(join(root, 'bin'));
    // Stands for the copy over the network: the last word is HOST:PATH. A machine that copies to itself has the file.
    const script = `target=\${!#}; into="${root}/\${target%%:*}/\${target#*:}"
for file in "\${@:1:$#-1}"; do [ "$file" -ef "$into/\${file##*/}" ] || cp "$file" "$into" || exit 1; done`;
    writeFileSync(join(root, 'bin/scp'), `#!/bin/bash\n${script}\n`);
    chmodSync(join(root, 'bin/scp'), 0o755);
    mkdirSync(join(one.home, 'mesh'));
    writeFileSync(
      join(one.home, 'mesh/web.yaml'),
      'apiVersion: v1\nkind: Service\nmetadata: { name: web, namespace: shop }\n' +
        'spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }\n',
    );
  });
  after(async () => {
    for (const machine of [one, two]) await machine.type('weft uninstall --yes').ended;
    await programs.endAll('SIGTERM');
    rmSync(root, { recursive: true, force: true });
  });

  test('H6: every step does what it says, and workloads of both machines talk with an identity and an address of their own', async () => {
    const steps = commandsOf('Several machines');
    assert.equal(steps.length, 4, steps.join('\n'));
    const [control = '', token = '', copy = '', agent = ''] = steps;
    await one.type(control).until(/control plane is serving/);
    const ranges: string[] = [];
    // The same steps for the first machine, which has an agent, too.
    for (const [machine, name] of [
      [two, 'node-2'],
      [one, 'node-1'],
    ] as const) {
      const named = (line: string): string => line.replaceAll('node-2', name);
      ranges.push(await one.done(named(token)));
      await one.done(named(copy));
      await machine.type(named(agent)).until(/agent is running/);
    }
    assert.match(ranges.join(''), /10\.41\.1\.0\/24 and fd41:0:0:2::\/64[\s\S]*10\.41\.2\.0\/24 and fd41:0:0:3::\/64/);
    // The agents run already: what the routes need of them follows.
    await one.done('ip route add 10.41.1.0/24 via 10.0.0.2 && ip -6 route add fd41:0:0:2::/64 via fd00::2');
    await two.done('ip route add 10.41.2.0/24 via 10.0.0.1 && ip -6 route add fd41:0:0:3::/64 via fd00::1');
    const serve =
      "require('http').createServer((q, a) => a.end('hello ' + q.socket.remoteAddress)).listen(8080, () => console.log('listening'))";
    const web = two.type(
      `weft run --user root --namespace shop --name web --service-account web --label app=web -- ${process.execPath} -e "${serve}"`,
    );
    await web.until(/listening/);
    const said = await one.done(
      'weft run --user nobody --namespace shop --name client --service-account client -- sh -c "for i in 1 2 3 4 5 6 7 8 9 10; do curl -sS -m 5 http://web.shop/ && exit 0; sleep 0.3; done; exit 1"',
    );
    assert.match(said, /hello (::ffff:)?(10\.41\.2\.\d+|fd41:0:0:3::)/);
    assert.match(await one.done('weft status'), /shop\/web +node-2 /);
  });

  test('H6: what the token does not name fails and says why, on the machine where it is tried', async () => {
    const other = two.type('weft run --user nobody --name x --service-account x -- true');
    assert.equal(await other.ended, 1);
    assert.match(other.output(), /WEFT_WORKLOAD_REFUSED/);
    const taken = one.type("weft token node-3 --identity 'shop/*' --addresses 10.41.1.0/24");
    assert.equal(await taken.ended, 1);
    assert.match(taken.output(), /overlaps with 10\.41\.1\.0\/24 of node node-2 \(WEFT_POOL_TAKEN\)/);
  });
});
