import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabPlan, NodePlan } from '#testbed/nodes/plan.ts';
import { addressCommands, type CommandLine, namespaceCommands, portCommands, switchCommands } from '#testbed/nodes/wiring.ts';
import type { Child } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { asHost, inNetns } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { CPU, LOAD_PORT, type Rig } from './rig.ts';

export const HAPROXY_PORT = 9443;
const TLS_PORT = 9444;

/** Two HAProxy processes, one beside the client and one beside the far server, mutual TLS 1.3 between them. */
export async function haproxyPair(rig: Rig, { far }: Bare): Promise<{ client: Child; server: Child }> {
  await makeCertificates(rig.dir);
  const settings = 'global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n';
  const tls = (name: string): string =>
    `ssl crt ${join(rig.dir, `${name}.both`)} ca-file ${join(rig.dir, 'ca.pem')} verify required`;
  const clientConfig = join(rig.dir, 'client.cfg');
  const serverConfig = join(rig.dir, 'server.cfg');
  await writeFile(
    clientConfig,
    `${settings}listen in\n  bind 127.0.0.1:${HAPROXY_PORT}\n  server far ${far.address}:${TLS_PORT} ${tls('a')} verifyhost peer ssl-min-ver TLSv1.3\n`,
  );
  await writeFile(
    serverConfig,
    `${settings}listen in\n  bind ${far.address}:${TLS_PORT} ${tls('b')} ssl-min-ver TLSv1.3\n  server app ${far.address}:${LOAD_PORT}\n`,
  );
  const start = (name: string, netns: string, cpu: string, config: string): Child =>
    rig.spawn({
      name,
      command: asHost(rig.plan, inNetns(netns, ['taskset', '-c', cpu, 'haproxy', '-db', '-f', config])),
      logPath: join(rig.plan.logDir, `${name}.log`),
    });
  const server = start('haproxy-server', far.server, CPU.server, serverConfig);
  const client = start('haproxy-client', far.client, CPU.client, clientConfig);
  await waitUntil('HAProxy listening', 10_000, async () => {
    const inClient = await command(asHost(rig.plan, inNetns(far.client, ['ss', '-tlnH'])));
    const inServer = await command(asHost(rig.plan, inNetns(far.server, ['ss', '-tlnH'])));
    return inClient.includes(`:${HAPROXY_PORT}`) && inServer.includes(`:${TLS_PORT}`) ? true : null;
  });
  return { client, server };
}

async function makeCertificates(dir: string): Promise<void> {
  const at = (name: string): string => join(dir, name);
  const key = (name: string): string[] => [
    'openssl',
    'ecparam',
    '-name',
    'prime256v1',
    '-genkey',
    '-noout',
    '-out',
    at(`${name}.key`),
  ];
  await command(key('ca'));
  await command([
    'openssl',
    'req',
    '-x509',
    '-new',
    '-key',
    at('ca.key'),
    '-subj',
    '/CN=bench',
    '-days',
    '1',
    '-out',
    at('ca.pem'),
  ]);
  await writeFile(at('names'), 'subjectAltName=DNS:peer');
  for (const name of ['a', 'b']) {
    await command(key(name));
    await command(['openssl', 'req', '-new', '-key', at(`${name}.key`), '-subj', '/CN=peer', '-out', at(`${name}.csr`)]);
    const sign = [
      'openssl',
      'x509',
      '-req',
      '-in',
      at(`${name}.csr`),
      '-CA',
      at('ca.pem'),
      '-CAkey',
      at('ca.key'),
      '-CAcreateserial',
      '-days',
      '1',
    ];
    await command([...sign, '-extfile', at('names'), '-out', at(`${name}.pem`)]);
    await command(['sh', '-c', 'cat "$1.pem" "$1.key" > "$1.both"', 'sh', at(name)]);
  }
}

/** Two namespaces outside of the mesh, `address` where the load is served. */
export type BarePair = { client: string; server: string; address: string };

/** Pairs wired like workloads of the mesh: of one node, and of two. Nothing of the mesh touches them. */
export type Bare = { near: BarePair; far: BarePair; down(): Promise<void> };

/** Where the namespaces of each node of the far pair are. */
const FAR_NETS = { client: '10.79.1', server: '10.79.2' } as const;

/** Makes the pairs and serves the load in the second of each. Workloads' own namespaces are no peers: the mesh sees every SYN in them. */
export async function bareNamespaces(rig: Rig): Promise<Bare> {
  const name = (part: string): string => `weft-bench-${rig.plan.id}-${part}`;
  const made: string[] = [];
  const servers: Child[] = [];
  const down = async (): Promise<void> => {
    for (const server of servers) await server.stop();
    for (const netns of made) await command(['ip', 'netns', 'del', netns]);
  };
  const near = { client: name('a'), server: name('b'), address: '10.79.0.2' };
  const far = { client: name('c'), server: name('d'), address: `${FAR_NETS.server}.2` };
  try {
    for (const netns of [name('sw'), near.client, near.server, far.client, far.server]) {
      for (const line of namespaceCommands(netns)) await command(line);
      made.push(netns);
    }
    for (const line of [...nearCommands(name('sw'), near), ...farCommands(rig.plan, far)]) await command(line);
    for (const { server } of [near, far]) servers.push(await serveLoad(rig, server));
  } catch (error) {
    await down();
    throw error;
  }
  return { near, far, down };
}

async function serveLoad(rig: Rig, netns: string): Promise<Child> {
  const serve = ['taskset', '-c', CPU.server, rig.load, 'serve', String(LOAD_PORT)];
  const started = rig.spawn({
    name: netns,
    command: asHost(rig.plan, inNetns(netns, serve)),
    logPath: join(rig.plan.logDir, `${netns}.log`),
  });
  await new Promise<void>((resolve) => started.onLine(() => resolve()));
  return started;
}

/** Both on one switch, as the workloads of a node are. */
function nearCommands(middle: string, { client, server }: BarePair): CommandLine[] {
  const sw = { netns: middle, device: 'sw' };
  return [
    ...switchCommands(sw),
    ...[client, server].flatMap((netns, index) => {
      const end = { netns, device: 'eth0' };
      return [...portCommands(sw, `port${index}`, end), ...addressCommands(end, `10.79.0.${index + 1}/24`, '')];
    }),
  ];
}

/** Each on a switch of its node, and over the wire between the nodes, as tunnels go. */
function farCommands({ nodes }: LabPlan, { client, server }: BarePair): CommandLine[] {
  const [alpha, beta] = nodes;
  if (alpha === undefined || beta === undefined) throw new Error('the bench needs two nodes');
  return [
    ...spokeCommands(alpha, client, FAR_NETS.client, [`${FAR_NETS.server}.0/24`, beta]),
    ...spokeCommands(beta, server, FAR_NETS.server, [`${FAR_NETS.client}.0/24`, alpha]),
  ];
}

function spokeCommands(node: NodePlan, netns: string, net: string, [other, next]: [string, NodePlan]): CommandLine[] {
  const sw = { netns: node.netns, device: 'benchsw' };
  const end = { netns, device: 'eth0' };
  return [
    ...switchCommands(sw),
    ...portCommands(sw, 'benchport', end),
    ...addressCommands(sw, `${net}.1/24`, ''),
    ...addressCommands(end, `${net}.2/24`, ''),
    ['ip', '-n', netns, 'route', 'add', 'default', 'via', `${net}.1`],
    ['ip', '-n', node.netns, 'route', 'add', other, 'via', next.link4],
  ];
}
