import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CHECK_CODES } from '#model/check/finding.ts';
import { createRoot } from '#protocol/ca/signer.ts';
import { type Program, ROOT } from '../e2e/programs.testing.ts';
import { Machine } from './machine.testing.ts';

const DAY_MS = 86_400_000;
const MESH = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;
/** Adds ten minutes to what a program reads from the clock. */
const FAST_CLOCK = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
#define AHEAD 600
int clock_gettime(clockid_t clock, struct timespec *to) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int rc = real(clock, to);
  if (rc == 0 && clock == CLOCK_REALTIME) to->tv_sec += AHEAD;
  return rc;
}
int gettimeofday(struct timeval *restrict to, void *restrict zone) {
  int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
  int rc = real(to, zone);
  if (rc == 0) to->tv_sec += AHEAD;
  return rc;
}
`;

type Finding = { code: string; level: string; message: string; why: string; remedy: string };
type Report = { level: string; areas: { area: string; level: string; findings: Finding[] }[] };

/** Codes that a test of this file has seen. */
const seen = new Set<string>();

describe('weft check', () => {
  const machine = new Machine();

  /** What `weft check` finds, after the lines of `plant`, whose mounts are gone afterwards. */
  async function found(options: string, plant = '', prefix = ''): Promise<Finding[]> {
    const line = `set -e; ${plant === '' ? '' : `{ ${plant}; } >&2;`} ${prefix} weft check -o json ${options} 2>${machine.path('check.err')} || { rc=$?; cat ${machine.path('check.err')} >&2; [ $rc = 1 ]; }`;
    const text = await machine.done(line, { apart: true });
    const report = JSON.parse(text.slice(text.indexOf('{\n'))) as Report;
    const findings = report.areas.flatMap((area) => area.findings);
    for (const { code, message, why, remedy } of findings) {
      assert.ok(message !== '' && why !== '' && remedy !== '', JSON.stringify({ code, message, why, remedy }));
      seen.add(code);
    }
    return findings;
  }

  /** That each code is found, with what its message says, and no other. */
  function finds(findings: readonly Finding[], wanted: Readonly<Record<string, RegExp>>): void {
    for (const [code, message] of Object.entries(wanted))
      assert.ok(
        findings.some((finding) => finding.code === code && message.test(finding.message)),
        `${code} ${message} is not among ${JSON.stringify(findings, null, 1)}`,
      );
    const others = findings.filter(({ code }) => wanted[code] === undefined);
    assert.deepEqual(others, [], 'nothing else was planted');
  }

  /** A state directory with the root of an authority that began so many days ago, and lasts for ten years. */
  async function stateWithRoot(name: string, ageDays: number, key: 'own' | 'other' = 'own'): Promise<string> {
    const { certificatePem, privateKeyPem } = await createRoot('test', Date.now() - ageDays * DAY_MS);
    const other = key === 'own' ? privateKeyPem : (await createRoot('test', Date.now())).privateKeyPem;
    const state = machine.folder(name);
    writeFileSync(join(state, 'root-cert.pem'), certificatePem, { mode: 0o644 });
    writeFileSync(join(state, 'root-key.pem'), other, { mode: 0o600 });
    return state;
  }

  before(async () => {
    await machine.boot();
    mkdirSync(machine.path('mesh'));
    writeFileSync(machine.path('mesh/web.yaml'), MESH);
  });
  after(() => machine.close());

  test('H17: of a machine in good order it finds nothing, and ends with 0', async () => {
    const text = await machine.done('weft check mesh --node one');
    assert.match(
      text,
      /^ok +machine\nok +limits\nok +ports\nok +network\nok +names\nok +places\nok +configuration\nok +leftovers\nnothing is wrong\n$/,
    );
  });

  test('H17: ports, networks, names and firewall', async () => {
    const serve = (port: number): string =>
      `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('held'))`;
    const held = machine.type(`exec ${process.execPath} -e "${serve(15_012)}; ${serve(15_020)}"`);
    await held.until(/held[\s\S]*held/);
    const plant = [
      'ip link add lan1 type bridge && ip addr add 10.41.0.1/16 dev lan1 && ip link set lan1 up && ip route add default via 10.41.0.9 metric 9',
      'sysctl -qw net.ipv4.conf.lan1.rp_filter=1 net.ipv6.conf.all.disable_ipv6=1 net.ipv4.ip_local_port_range="15000 16000"',
      'nft add table inet wall && nft add chain inet wall guard "{ type filter hook forward priority 0; policy drop; }"',
      'umount /etc/resolv.conf && mount --bind /dev/null /etc/resolv.conf',
    ];
    const undo =
      'ip link del lan1; nft delete table inet wall; sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv4.ip_local_port_range="32768 60999"';
    const findings = await found('mesh --node one', plant.join(' && ')).finally(() => machine.done(undo));
    held.child.kill();
    finds(findings, {
      WEFT_CHECK_PORT: /^127\.0\.0\.1:15012, for the control plane, is taken by \S+ \(pid \d+\)$/,
      WEFT_CHECK_METRICS_PORT: /15020/,
      WEFT_CHECK_PORT_RANGE: /15000 to 16000, so also 15012, 15014, 15020/,
      WEFT_POOL_OVERLAP: /10\.41\.0\.0\/24 overlaps with 10\.41\.0\.0\/16.*lan1/,
      WEFT_CHECK_RP_FILTER: /strict on lan1/,
      WEFT_CHECK_IPV6: /disable_ipv6/,
      WEFT_CHECK_FORWARD_DROP: /inet wall guard/,
      WEFT_CHECK_RESOLVER: /no DNS server/,
    });
  });

  test('H17: kernel file systems, limits, directories, resources, an authority of the past', async () => {
    const state = await stateWithRoot('expired', 3_700, 'other');
    writeFileSync(machine.path('occupied'), '');
    mkdirSync(machine.path('bad'));
    writeFileSync(machine.path('bad/web.yaml'), MESH.replace('spec: {', 'spec: { colour: blue,'));
    const plant = [
      'mount -t tmpfs none /sys/kernel/btf',
      'for at in $(awk \'$3 == "cgroup2" { print $2 }\' /proc/self/mounts | sort -r); do umount -l $at; done',
      `chmod 755 ${state}; chmod 644 ${join(state, 'root-key.pem')}; mkdir ${join(state, 'logs')}`,
      `mount -t tmpfs -o size=1m none ${join(state, 'logs')}`,
      'mkdir /run/small && mount -t tmpfs -o size=64k,mode=755 none /run/small',
      'ulimit -n 1024',
      'umount /etc/resolv.conf && echo nameserver 127.0.0.9 > resolv-2 && mount --bind resolv-2 /etc/resolv.conf',
    ].join(' && ');
    const long = 'n'.repeat(60);
    finds(
      await found(
        `bad --node ${long} --state-dir ${state} --bpffs ${machine.path('occupied')} --run-dir /run/small/${long}`,
        plant,
      ),
      {
        WEFT_NO_BTF: /vmlinux/,
        WEFT_KERNEL: /BTF of the kernel/,
        WEFT_CGROUP2: /no cgroup v2/,
        WEFT_CHECK_BPFFS: /occupied/,
        WEFT_CHECK_OPEN_FILES: /1024/,
        WEFT_CHECK_PERMISSIONS: /root-key\.pem \(mode 644\)/,
        WEFT_CHECK_LOG_DISK: /logs: 1 MiB are free/,
        WEFT_CHECK_DISK_FULL: /\/run\/small.*0 MiB are free/,
        WEFT_SOCKET_PATH: /bytes/,
        WEFT_FIELD_UNKNOWN: /bad\/web\.yaml:5: Service default\/web spec\.colour/,
        WEFT_CHECK_ROOT_EXPIRED: /expired/,
        WEFT_CA_SIGNER: /is not that of the certificate/,
        WEFT_DNS_UPSTREAM: /127\.0\.0\.9/,
      },
    );
  });

  test('H17: a user, an old kernel, missing programs, a disk that is read-only, an authority of the future', async () => {
    const state = await stateWithRoot('future', -2);
    const plant = [
      'mount -t tmpfs none /mnt && chmod 755 /mnt',
      `for program in ip nft; do for at in $(type -ap $program); do mount --bind /dev/null $(readlink -f $at); done; done`,
      'mount --bind /dev/null $(readlink -f $(ldconfig -p | sed -n "s/.*libbpf.so.1 .*=> //p" | head -n 1))',
      `mount --bind ${state} ${state} && mount -o remount,bind,ro ${state}`,
      'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys',
    ].join(' && ');
    finds(await found(`nowhere --node one --state-dir ${state}`, plant, 'setarch --uname-2.6'), {
      WEFT_KERNEL_TOO_OLD: /2\.6/,
      WEFT_LIBBPF: /libbpf/,
      WEFT_CHECK_PROGRAM: /program ip /,
      WEFT_CHECK_OPTIONAL_PROGRAM: /program nft /,
      WEFT_CHECK_READ_ONLY: /read-only/,
      WEFT_CHECK_LOG_DISK: /cannot be written/,
      WEFT_CHECK_SYSCTL: /read-only/,
      WEFT_CONFIG_FILE: /nowhere/,
      WEFT_CHECK_CLOCK_EARLY: /begins/,
    });
  });

  test('H17: what root lacks in a container, no loopback, directories of others, a root that ends soon', async () => {
    const state = await stateWithRoot('soon', 3_640);
    const caps = 'setpriv --bounding-set=-sys_admin,-net_admin --inh-caps=-all';
    finds(await found(`--node one --state-dir ${state}`, 'ip link set lo down', caps), {
      WEFT_CHECK_CAPABILITY: /CAP_(SYS|NET)_ADMIN/,
      WEFT_CHECK_LOOPBACK: /lo is down/,
      WEFT_DNS_UPSTREAM: /127\.0\.0\.1/,
      WEFT_CHECK_ROOT_SOON: /expires/,
    });
    await machine.done('ip link set lo up');
    writeFileSync(join(machine.folder('letters'), 'love.txt'), '');
    finds(await found(`--node one --state-dir ${machine.path('letters')}`, '', 'cd / && setpriv --reuid 65534 --clear-groups'), {
      WEFT_NOT_ROOT: /not root/,
    });
    finds(await found(`--node one --state-dir ${machine.path('letters')}`), { WEFT_FOREIGN_DIRECTORY: /love\.txt/ });
  });

  describe('of a mesh that runs', () => {
    let up: Program;
    const pidOf = async (part: 'agent' | 'control'): Promise<number> => {
      const { nodes, control } = JSON.parse(await machine.done('weft status --json'));
      return part === 'control' ? control.status.pid : nodes[0].status.pid;
    };

    before(async () => {
      up = machine.type('exec weft up mesh --node one --listen 10.9.0.2:15012');
      await up.until(/The mesh is up/);
      await machine.done(
        'for i in $(seq 100); do weft status --json | grep -q \'"syncedAt": "\' && exit 0; sleep 0.1; done; exit 1',
      );
    });

    test('H17: in good order it finds nothing, and ends with 0', async () => {
      assert.match(
        await machine.done('weft check'),
        /ok +certificates\nok +clock\nok +control plane\nok +agents\nok +leftovers\nnothing is wrong\n$/,
      );
    });

    test('H17: a clock ahead of that of the control plane', async () => {
      writeFileSync(machine.path('clock.c'), FAST_CLOCK);
      await machine.done('cc -shared -fPIC -o clock.so clock.c');
      finds(await found('', '', `env LD_PRELOAD=${machine.path('clock.so')}`), {
        WEFT_CHECK_CLOCK_SKEW: /(599|600|601) s ahead of/,
      });
    });

    test('H17: a root and a token of others, a control plane that is not there, forwarding that was turned off', async () => {
      const { certificatePem } = await createRoot('stranger', Date.now());
      writeFileSync(machine.path('stranger.pem'), certificatePem);
      await machine.done("weft token two --identity 'shop/*' > two.token 2>/dev/null");
      await machine.done('for bridge in /proc/sys/net/ipv4/conf/weft-*; do echo 0 > $bridge/forwarding; done');
      const join = '--node one --token-file two.token';
      finds(await found(`${join} --control 10.9.0.2:15012 --control-root stranger.pem`), {
        WEFT_CHECK_WRONG_ROOT: /not signed by stranger\.pem/,
        WEFT_CHECK_TOKEN_NODE: /token of node two, not of one/,
        WEFT_CHECK_FORWARDING: /node one: its bridge weft-[0-9a-f]+ does not forward/,
      });
      await machine.done('for bridge in /proc/sys/net/ipv4/conf/weft-*; do echo 1 > $bridge/forwarding; done');
      writeFileSync(machine.path('none.token'), '');
      finds(await found('--node one --token-file none.token --control 127.0.0.1:1 --control-root missing.pem'), {
        WEFT_CHECK_CONTROL_UNREACHABLE: /127\.0\.0\.1:1 .*ECONNREFUSED/,
        WEFT_CONTROL_FILE: /missing\.pem/,
        WEFT_CONTROL_TOKEN: /none\.token/,
      });
    });

    test('H17: parts of another version', async () => {
      const copy = machine.folder('other-version');
      for (const part of ['bin', 'config', 'build/program', 'build/bpf', 'build/proto'])
        cpSync(join(ROOT, part), join(copy, part), { recursive: true });
      symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
      const text = readFileSync(join(ROOT, 'package.json'), 'utf8');
      const [, minor = '0'] = /"version": "\d+\.(\d+)/.exec(text) ?? [];
      const version = async (ahead: number): Promise<Finding[]> => {
        writeFileSync(join(copy, 'package.json'), text.replace(/("version": "\d+\.)\d+/, `$1${Number(minor) + ahead}`));
        return found('', '', `env PATH=${join(copy, 'bin')}:$PATH`);
      };
      finds(await version(1), { WEFT_CHECK_VERSION: /agent of node one is of version/ });
      finds(await version(2), { WEFT_CHECK_VERSION_GAP: /control plane is of version/ });
    });

    test('H17: an agent that does not answer', async () => {
      const agent = await pidOf('agent');
      process.kill(agent, 'SIGSTOP');
      finds(await found('').finally(() => process.kill(agent, 'SIGCONT')), { WEFT_CHECK_AGENT_SILENT: /node one/ });
    });

    test('H17: an expired token, a node that is there twice, and what dead meshes left', async () => {
      const wire =
        'ip netns add two && ip link add wire0 type veth peer name wire0 netns two && ip addr add 10.9.1.1/24 dev wire0';
      const far =
        'ip -n two addr add 10.9.1.2/24 dev wire0 && ip -n two link set wire0 up && ip -n two route add 10.9.0.0/24 via 10.9.1.1';
      await machine.done(`${wire} && ip link set wire0 up && ${far} && cp /run/weft/one/control-root.pem /run/weft/one/token .`);
      const rival = machine.type(
        `exec ip netns exec two ${process.execPath} ${join(ROOT, 'test/first-hour/apps/rival.ts')} 10.9.0.2:15012 control-root.pem token one`,
      );
      await rival.until(/spoken for from 10\.9\.0\.2/);
      await machine.done(
        "weft token one --ttl 1s --identity '*/*' --addresses 10.41.0.0/24 --addresses fd41:0:0:1::/64 > expired.token 2>/dev/null",
      );
      const plant =
        'mkdir -p /sys/fs/bpf/weft/ghost && ip netns add weft-spirit-0123456789 && cp /run/weft/one/token kept && cp expired.token /run/weft/one/token';
      await machine.done(plant);
      await machine.done('sleep 1.1'); // until the token that lives for a second has ended
      const findings = await found('').finally(() =>
        machine.done(
          'rmdir /sys/fs/bpf/weft/ghost; ip netns del weft-spirit-0123456789; cp kept /run/weft/one/token; ip netns del two',
        ),
      );
      rival.child.kill();
      await rival.ended;
      finds(findings, {
        WEFT_CHECK_TOKEN_EXPIRED: /\/run\/weft\/one\/token expired/,
        WEFT_CHECK_NODE_TWICE: /node one is at 10\.9\.0\.2, and 10\.9\.1\.2 came/,
        WEFT_CHECK_PINS: /\/sys\/fs\/bpf\/weft\/ghost/,
        WEFT_CHECK_NAMESPACE: /weft-spirit-0123456789/,
      });
    });

    test('H17: parts that were killed', async () => {
      const [agent, control] = [await pidOf('agent'), await pidOf('control')];
      up.child.kill('SIGKILL'); // who would start them again
      for (const pid of [agent, control]) process.kill(pid, 'SIGKILL');
      const findings = await found('');
      finds(findings, { WEFT_NO_AGENT: /node one: its agent has ended/, WEFT_NO_CONTROL: /ECONNREFUSED/ });
      assert.ok(findings.every(({ level }) => level === 'error'));
    });
  });

  test('H17: of the codes that there are, more than twenty were planted here', () => {
    const known = [...seen].filter((code) => code in CHECK_CODES);
    assert.ok(known.length >= 40, `${known.length}: ${known.join(', ')}`);
  });
});
