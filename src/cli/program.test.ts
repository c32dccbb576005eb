import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { IDLE_ACTIONS } from '../../test/structure/cli-page.ts';
import { matchesGolden } from '../../test/structure/golden.ts';
import { usualCheck } from './check.ts';
import { PLAIN_LAUNCH } from './launch-options.ts';
import { BENCH_GROUPS } from './look-and-check.ts';
import { type Actions, runProgram } from './program.ts';

/** What every file holds. */
const WORKLOAD_FILE = 'service-account: web\nlabel: { app: web }\ncommand: [python3, web.py]';

type Outcome = { code: number; out: string; err: string; asked: { command: string; options: unknown }[] };

async function weft(line: string, replaced: Partial<Actions> = {}): Promise<Outcome> {
  const outcome: Outcome = { code: -1, out: '', err: '', asked: [] };
  const record = (command: string) => async (options: unknown) => {
    outcome.asked.push({ command, options });
    return 0;
  };
  const actions = {
    ...Object.fromEntries(Object.keys(IDLE_ACTIONS).map((name) => [name, record(name)])),
    ...replaced,
  } as Actions;
  const output = {
    out(text: string) {
      outcome.out += text;
    },
    err(text: string) {
      outcome.err += text;
    },
    columns: 100,
  };
  outcome.code = await runProgram(line.split(' ').filter(Boolean), actions, output, {
    debug: false,
    readText: () => WORKLOAD_FILE,
  });
  return outcome;
}

const MISTAKES = [
  '',
  'upp',
  '--hlep',
  'up',
  'up mesh other',
  'up --nmae a mesh',
  'up mesh --pool4 10.41.0.0',
  'up mesh --pool4 fd41::/64',
  'up mesh --listen 15012',
  'up mesh --trust-domain Cluster',
  'up mesh --path-normalization base',
  'up mesh --rate-limit-service limits:8081',
  'up mesh --rate-limit-service infra/limits:0',
  'up mesh --access-log-format %PROTOCOL%,%METADATA(CLUSTER:a)%',
  'run -- ls',
  'run --name web -- ls',
  'run --name Web --service-account web -- ls',
  'run --name web --service-account web',
  'run --name web --service-account web --label app -- ls',
  'run --name web --service-account web --annotation ambient.istio.io/dns-capture=no -- ls',
  'run --name web --file web.yaml -- ls',
  'run --file',
  'control',
  'agent --control 10.0.0.1:15012',
  'agent --node a',
  'agent --node a --control 10.0.0.1:15012 --token-file t',
  'agent --node a --dns-upstream dns.example',
  'agent --node a --no-nat-for 10.0.0.0/33',
  'waypoint --namespace shop',
  'ca withdraw',
  'token',
  'token a',
  'token a --addresses 10.0.0.0/8',
  'token a --identity shop --addresses 10.0.0.0/8',
  'token a --identity shop/* --addresses 10.0.0.0/33',
  'token a --identity shop/* --addresses 10.0.0.0/8 --ttl 12',
  'validate',
  'check mesh --kubeconfig c',
  'status --jsn',
  'demo --once now',
];

test('mistakes on the command line are told with a remedy, and exit with 2', async () => {
  const told: string[] = [];
  for (const line of MISTAKES) {
    const { code, out, err, asked } = await weft(line);
    assert.deepEqual([code, out, asked], [2, '', []], line);
    told.push(`$ weft ${line}\n${line === '' ? `${err.split('\n')[0]}…\n` : err}`);
  }
  matchesGolden(join(import.meta.dirname, 'golden/mistakes.txt'), told.join('\n'));
});

const HELP = ['--help', '-h', 'help', 'up --help', 'help up', 'run -h', 'waypoint --help'];
for (const line of HELP) {
  test(`weft ${line} prints help and exits with 0`, async () => {
    const { code, out, err } = await weft(line);
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^Usage: weft /);
  });
}

const POOLS = { pool4: '10.41.0.0/24', pool6: 'fd41:0:0:1::/64' };
const CONTROL = { address: '10.0.0.1:15012', rootFile: 'root.pem', tokenFile: 'token', serverName: null };
const REACH = '--control 10.0.0.1:15012 --control-root root.pem --token-file token';
const RUN = {
  ...PLAIN_LAUNCH,
  name: 'web',
  namespace: 'default',
  serviceAccount: 'web',
  labels: {},
  annotations: {},
  agentSocket: null,
  node: null,
  runDir: '/run/weft',
  weight: null,
  nativeTunnel: false,
  detach: false,
  stateDir: '/var/lib/weft',
  user: null,
  capAdd: [],
  share: [],
};
const AGENT = { node: 'a', runDir: '/run/weft', bpffs: '/sys/fs/bpf', cgroup: null, pool4: null, pool6: null };

const lines: { line: string; command: string; options: unknown }[] = [
  {
    line: 'up mesh',
    command: 'up',
    options: {
      directory: 'mesh',
      node: null,
      ...POOLS,
      trustDomain: 'cluster.local',
      pathNormalization: 'BASE',
      rateLimitService: null,
      accessLogFormat: null,
      listen: { host: '127.0.0.1', port: 15_012 },
      runDir: '/run/weft',
      stateDir: '/var/lib/weft',
      detach: false,
    },
  },
  {
    line: 'stop --grace 2m a b',
    command: 'stop',
    options: { names: ['a', 'b'], namespace: 'default', node: null, graceSeconds: 120, runDir: '/run/weft' },
  },
  {
    line: 'stop --grace 0s --namespace shop --node n a',
    command: 'stop',
    options: { names: ['a'], namespace: 'shop', node: 'n', graceSeconds: 0, runDir: '/run/weft' },
  },
  {
    line: 'ps api --node a -o wide',
    command: 'ps',
    options: { names: ['api'], node: 'a', namespace: null, output: 'wide', watch: false, runDir: '/run/weft' },
  },
  {
    line: 'ps -o json --watch',
    command: 'ps',
    options: { names: [], node: null, namespace: null, output: 'json', watch: true, runDir: '/run/weft' },
  },
  {
    line: 'log-level debug agent/one=warn',
    command: 'logLevel',
    options: {
      changes: [
        { component: null, level: 'debug' },
        { component: 'agent/one', level: 'warn' },
      ],
      output: 'table',
      runDir: '/run/weft',
    },
  },
  {
    line: 'run --name web --service-account web -- ls -l --help',
    command: 'run',
    options: { ...RUN, command: ['ls', '-l', '--help'] },
  },
  {
    line: 'run --name web --service-account web ls -l --name x',
    command: 'run',
    options: { ...RUN, command: ['ls', '-l', '--name', 'x'] },
  },
  {
    line: 'run --file web.yaml --name web',
    command: 'run',
    options: { ...RUN, labels: { app: 'web' }, command: ['python3', 'web.py'] },
  },
  {
    line: 'run --name web --service-account web --annotation ambient.istio.io/dns-capture=false --annotation ambient.istio.io/bypass-inbound-capture=true -- w',
    command: 'run',
    options: {
      ...RUN,
      annotations: { 'ambient.istio.io/dns-capture': 'false', 'ambient.istio.io/bypass-inbound-capture': 'true' },
      command: ['w'],
    },
  },
  {
    line: 'run --name web --service-account web --namespace shop --label app=web --label version=v1 --node n --native-tunnel -- w',
    command: 'run',
    options: { ...RUN, namespace: 'shop', labels: { app: 'web', version: 'v1' }, node: 'n', nativeTunnel: true, command: ['w'] },
  },
  {
    line: 'run --name web --service-account web -e A=1 --env B --env-file f --env-file g -w /srv -m 64m --cpus 0.5 --preserve-fds 2 --restart on-failure:3 -p 8080:80 --publish [::1]:53:5353/tcp -d --state-dir /s -- w -d',
    command: 'run',
    options: {
      ...RUN,
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: null },
      ],
      envFiles: ['f', 'g'],
      workdir: '/srv',
      memoryBytes: 64 * 2 ** 20,
      cpus: 0.5,
      preserveFds: 2,
      restart: { kind: 'on-failure', timesMax: 3 },
      published: [
        { ip: '0.0.0.0', hostPort: 8_080, port: 80 },
        { ip: '::1', hostPort: 53, port: 5_353 },
      ],
      detach: true,
      stateDir: '/s',
      command: ['w', '-d'],
    },
  },
  {
    line: 'run --name web --service-account web --user www-data:1000 --cap-add net_raw --cap-add CAP_NET_ADMIN --cap-add NET_RAW --share /run/php --share /dev/dri -- w',
    command: 'run',
    options: {
      ...RUN,
      user: { user: 'www-data', group: '1000' },
      capAdd: ['NET_ADMIN', 'NET_RAW'],
      share: ['/run/php', '/dev/dri'],
      command: ['w'],
    },
  },
  {
    line: 'control --config mesh --listen [::1]:15012 --server-name a --server-name 10.0.0.1 --path-normalization MERGE_SLASHES --rate-limit-service infra/limits:8081 --waypoint-agent /run/a.sock',
    command: 'control',
    options: {
      config: 'mesh',
      store: null,
      cluster: null,
      listen: { host: '::1', port: 15_012 },
      serverNames: ['a', '10.0.0.1'],
      trustDomain: 'cluster.local',
      pathNormalization: 'MERGE_SLASHES',
      rateLimitService: { namespace: 'infra', name: 'limits', port: 8_081 },
      stats: { host: '127.0.0.1', port: 15_014 },
      waypointAgent: '/run/a.sock',
      traces: null,
      accessLogFormat: null,
      waypointThreads: null,
      socket: '/run/weft/control.sock',
      stateDir: '/var/lib/weft',
      caDir: null,
    },
  },
  {
    line: `agent --node a ${REACH}`,
    command: 'agent',
    options: {
      ...AGENT,
      kind: 'run',
      control: CONTROL,
      waitSeconds: null,
      trustDomain: 'cluster.local',
      udpBetweenNodes: 'refuse',
      onDemand: false,
      dnsUpstreams: [],
      egressNat: true,
      noNatFor: [],
      replace: false,
      stats: { host: '127.0.0.1', port: 15_020 },
      health: null,
      admin: null,
      crl: null,
      cni: null,
      drain: null,
      readySocket: null,
      threads: null,
    },
  },
  {
    line: `agent --node a ${REACH} --pool4 10.9.0.0/24 --pool6 fd09::/64 --no-egress-nat --no-nat-for 10.0.0.0/8 --no-nat-for fd00::/8 --cgroup /c --dns-upstream 9.9.9.9 --dns-upstream [::1]:5353 --replace --stats off --wait 90s`,
    command: 'agent',
    options: {
      ...AGENT,
      kind: 'run',
      control: CONTROL,
      waitSeconds: 90,
      trustDomain: 'cluster.local',
      udpBetweenNodes: 'refuse',
      onDemand: false,
      pool4: '10.9.0.0/24',
      pool6: 'fd09::/64',
      cgroup: '/c',
      dnsUpstreams: [
        { ip: '9.9.9.9', port: 53 },
        { ip: '::1', port: 5353 },
      ],
      egressNat: false,
      noNatFor: ['10.0.0.0/8', 'fd00::/8'],
      replace: true,
      stats: null,
      health: null,
      admin: null,
      crl: null,
      cni: null,
      drain: null,
      readySocket: null,
      threads: null,
    },
  },
  {
    line: `agent --node a ${REACH} --control-server-name istiod.istio-system.svc`,
    command: 'agent',
    options: {
      ...AGENT,
      kind: 'run',
      control: { ...CONTROL, serverName: 'istiod.istio-system.svc' },
      waitSeconds: null,
      trustDomain: 'cluster.local',
      udpBetweenNodes: 'refuse',
      onDemand: false,
      dnsUpstreams: [],
      egressNat: true,
      noNatFor: [],
      replace: false,
      stats: { host: '127.0.0.1', port: 15_020 },
      health: null,
      admin: null,
      crl: null,
      cni: null,
      drain: null,
      readySocket: null,
      threads: null,
    },
  },
  { line: 'agent --node a --cleanup', command: 'agent', options: { ...AGENT, kind: 'cleanup' } },
  {
    line: 'agent --node a --kubernetes --cleanup',
    command: 'agent',
    options: { ...AGENT, pool4: '', pool6: '', kind: 'cleanup' },
  },
  {
    line:
      'waypoint --namespace shop --gateway way --service-account way --node a --control unix:/run/weft/xds.sock' +
      ' --control-root root.pem --token-file token --pin-dir /sys/fs/bpf/weft/a --access-log-format istio',
    command: 'waypoint',
    options: {
      namespace: 'shop',
      gateway: 'way',
      serviceAccount: 'way',
      node: 'a',
      control: { ...CONTROL, address: 'unix:/run/weft/xds.sock' },
      pinDir: '/sys/fs/bpf/weft/a',
      traces: null,
      accessLogFormat: 'istio',
      drain: null,
      threads: null,
    },
  },
  {
    line: 'token a --identity shop/* --identity bank/teller --addresses 10.1.0.0/16 --addresses fd00::/64',
    command: 'token',
    options: {
      kind: 'make',
      node: 'a',
      grant: { identities: ['shop/*', 'bank/teller'], addresses: ['10.1.0.0/16', 'fd00::/64'], waypoints: false },
      ttlSeconds: null,
      socket: '/run/weft/control.sock',
      output: 'text',
    },
  },
  {
    line: 'token a --waypoints --addresses 10.1.0.0/16 --ttl 12h',
    command: 'token',
    options: {
      kind: 'make',
      node: 'a',
      grant: { identities: [], addresses: ['10.1.0.0/16'], waypoints: true },
      ttlSeconds: 43_200,
      socket: '/run/weft/control.sock',
      output: 'text',
    },
  },
  {
    line: 'ca',
    command: 'ca',
    options: { act: 'show', socket: '/run/weft/control.sock', output: 'text' },
  },
  {
    line: 'ca rotate --output json',
    command: 'ca',
    options: { act: 'rotate', socket: '/run/weft/control.sock', output: 'json' },
  },
  {
    line: 'token a --revoke',
    command: 'token',
    options: { kind: 'revoke', node: 'a', freeAddresses: false, socket: '/run/weft/control.sock', output: 'text' },
  },
  {
    line: 'token a --identity shop/*',
    command: 'token',
    options: {
      kind: 'make',
      node: 'a',
      grant: { identities: ['shop/*'], addresses: [], waypoints: false },
      ttlSeconds: null,
      socket: '/run/weft/control.sock',
      output: 'text',
    },
  },
  {
    line: 'uninstall --keep-state',
    command: 'uninstall',
    options: { keepState: true, yes: false, runDir: '/run/weft', stateDir: '/var/lib/weft', bpffs: '/sys/fs/bpf' },
  },
  { line: 'validate a.yaml b', command: 'validate', options: { paths: ['a.yaml', 'b'], output: 'text' } },
  {
    line: 'describe service/web --namespace shop -o yaml',
    command: 'describe',
    options: { kind: 'service', name: 'web', namespace: 'shop', output: 'yaml', runDir: '/run/weft' },
  },
  {
    line: 'describe PeerAuthentication/web',
    command: 'describe',
    options: { kind: 'policy', namespace: 'default', name: 'web', output: 'text', runDir: '/run/weft' },
  },
  {
    line: 'describe svc/web',
    command: 'describe',
    options: { kind: 'service', name: 'web', namespace: 'default', output: 'text', runDir: '/run/weft' },
  },
  { line: 'check --kubeconfig c', command: 'check', options: { ...usualCheck(), kubeconfig: 'c' } },
  { line: 'status --json', command: 'status', options: { output: 'json', runDir: '/run/weft' } },
  { line: 'status -o wide', command: 'status', options: { output: 'wide', runDir: '/run/weft' } },
  { line: 'demo', command: 'demo', options: { once: false, jsonPath: null } },
  { line: 'demo --once --json f', command: 'demo', options: { once: true, jsonPath: 'f' } },
  { line: 'bench --json f', command: 'bench', options: { jsonPath: 'f', groups: BENCH_GROUPS.slice(0, 7) } },
  { line: 'bench --only etcd', command: 'bench', options: { jsonPath: null, groups: ['etcd'] } },
  { line: 'bench --only small same', command: 'bench', options: { jsonPath: null, groups: ['same', 'small'] } },
  { line: 'version', command: 'version', options: { output: 'text' } },
  { line: '--version', command: 'version', options: { output: 'text' } },
];
for (const { line, command, options } of lines) {
  test(`weft ${line}`, async () => {
    const { code, err, asked } = await weft(line);
    assert.deepEqual({ code, err, asked }, { code: 0, err: '', asked: [{ command, options }] });
  });
}

test('the exit code is that of the command', async () => {
  assert.equal((await weft('status', { status: async () => 7 })).code, 7);
});

test("a user's mistake exits with 1, with its remedy and without a stack", async () => {
  const status = async (): Promise<number> => {
    throw new WeftError('WEFT_EXAMPLE', 'it is broken', { remedy: 'mend it' });
  };
  const { code, out, err } = await weft('status', { status });
  assert.deepEqual({ code, out, err }, { code: 1, out: '', err: 'weft: it is broken (WEFT_EXAMPLE)\nremedy: mend it\n' });
});

test('our own mistake exits with 1 and says how to see more', async () => {
  const status = async (): Promise<number> => {
    throw new TypeError('x is not a function');
  };
  const { code, err } = await weft('status', { status });
  assert.equal(code, 1);
  assert.match(err, /^weft: unexpected error: x is not a function\n.*WEFT_DEBUG=1.*\n$/);
});
