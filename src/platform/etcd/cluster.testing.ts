import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

const MEMBERS = ['m1', 'm2', 'm3'];
const READY_MS = 20_000;

/** A real etcd of three members on loopback, gone after the test. */
export type EtcdCluster = {
  /** `host:port` of each member for clients. */
  members: readonly string[];
  /** What a client needs where it asks for a certificate; null: it is served without TLS. */
  tls: { ca: string; cert: string; key: string } | null;
  /** Where those files are. */
  dir: string;
  /** Runs etcdctl; what it prints. The first member that answers is asked. */
  ctl(...words: string[]): Promise<string>;
  /** Ends a member without a word. */
  kill(member: number): Promise<void>;
  /** A killed one comes back with what it had. */
  restart(member: number): Promise<void>;
  /** Stops a member where it stands: its connections stay open, and nothing answers. */
  freeze(member: number): void;
  thaw(member: number): void;
  /** Which member leads the others. */
  leader(): Promise<number>;
};

/**
 * Starts it. `secure`: clients must show a certificate of its authority. Errors: when `etcd` is not installed (scripts/setup test
 * installs it), or no leader is elected.
 */
export async function etcdCluster(t: TestContext, { secure = false } = {}): Promise<EtcdCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-etcd-'));
  const tls = secure ? await makeCertificates(dir) : null;
  const scheme = secure ? 'https' : 'http';
  const files = { ca: join(dir, 'ca.pem'), cert: join(dir, 'client.pem'), key: join(dir, 'client.key') };
  const ports = await freePorts(2 * MEMBERS.length);
  const members = MEMBERS.map((_name, at) => `127.0.0.1:${ports[at]}`);
  const peers = MEMBERS.map((_name, at) => `http://127.0.0.1:${ports[MEMBERS.length + at]}`);
  const running: (ChildProcess | undefined)[] = [];
  const start = (at: number): void => {
    const [name = '', client = '', peer = ''] = [MEMBERS[at], members[at], peers[at]];
    const line = ['--name', name, '--data-dir', join(dir, name), '--log-level', 'error', '--logger', 'zap'];
    const clients = ['--listen-client-urls', `${scheme}://${client}`, '--advertise-client-urls', `${scheme}://${client}`];
    const server = ['--cert-file', join(dir, 'server.pem'), '--key-file', join(dir, 'server.key')];
    const asks = secure ? [...server, '--client-cert-auth', '--trusted-ca-file', files.ca] : [];
    const own = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer];
    const together = [
      '--initial-cluster',
      MEMBERS.map((one, i) => `${one}=${peers[i]}`).join(),
      '--initial-cluster-state',
      'new',
    ];
    const child = spawn('etcd', [...line, ...clients, ...asks, ...own, ...together], { stdio: 'ignore' });
    child.on('error', () => {}); // told by who waits for it
    running[at] = child;
  };
  const kill = async (at: number): Promise<void> => {
    const child = running[at];
    running[at] = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  t.after(async () => {
    for (const at of MEMBERS.keys()) await kill(at);
    await rm(dir, { recursive: true, force: true });
  });
  const ctl = async (...words: string[]): Promise<string> => {
    const env = { ...process.env, ETCDCTL_API: '3' };
    const alive = members.filter((_member, at) => running[at] !== undefined);
    const asked = words.includes('--endpoints') ? [] : ['--endpoints', alive.join()];
    const trust = secure ? ['--cacert', files.ca, '--cert', files.cert, '--key', files.key] : [];
    const args = [...trust, ...asked, '--dial-timeout', '1s', '--command-timeout', '3s', ...words];
    return (await promisify(execFile)('etcdctl', args, { env, timeout: READY_MS })).stdout;
  };
  for (const at of MEMBERS.keys()) start(at);
  await until('three healthy members of etcd', async () => void (await ctl('endpoint', 'health')));
  const leader = () =>
    until('a leader of etcd', async () => {
      const statuses = JSON.parse(exact(await ctl('endpoint', 'status', '-w', 'json'))) as EndpointStatus[];
      const leads = statuses.find(({ Status }) => Status.leader === Status.header.member_id);
      if (leads === undefined) throw new Error('no member leads');
      return members.indexOf(leads.Endpoint);
    });
  return {
    members,
    tls,
    dir,
    ctl,
    kill,
    async restart(at) {
      start(at);
      await until('the member that comes back', async () => void (await ctl('endpoint', 'health')));
    },
    freeze: (at) => void running[at]?.kill('SIGSTOP'),
    thaw: (at) => void running[at]?.kill('SIGCONT'),
    leader,
  };
}

/** An authority, and certificates of it for members and for clients, as files below `dir`. Returns what a client needs. */
async function makeCertificates(dir: string): Promise<{ ca: string; cert: string; key: string }> {
  const openssl = (...words: string[]) => promisify(execFile)('openssl', words, { cwd: dir });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=etcd authority');
  const below = async (name: string, usage: string) => {
    const own = ['-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`];
    const says = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', `extendedKeyUsage=${usage}`];
    const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE'];
    await openssl('req', '-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', ...key, ...own, ...says, ...leaf);
  };
  await below('server', 'serverAuth,clientAuth'); // a member is a client of itself, too
  await below('client', 'clientAuth');
  const text = (name: string) => readFile(join(dir, name), 'utf8');
  return { ca: await text('ca.pem'), cert: await text('client.pem'), key: await text('client.key') };
}

type EndpointStatus = { Endpoint: string; Status: { header: { member_id: string }; leader: string } };

/** Ids are too large for JSON's numbers here. */
function exact(printed: string): string {
  return printed.replace(/"(member_id|leader)":(\d+)/g, '"$1":"$2"');
}

/** Tries until it succeeds. Errors: the last one, after some 20 s. */
export async function until<Result>(what: string, attempt: () => Promise<Result>, withinMs = READY_MS): Promise<Result> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (Date.now() > deadline) throw new Error(`${what} did not come to be within ${withinMs} ms`, { cause });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Ports that nobody has now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      return new Promise<ReturnType<typeof createServer>>((resolve) => {
        const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
      });
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
