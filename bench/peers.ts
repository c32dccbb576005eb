import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addressCommands, namespaceCommands, portCommands, switchCommands } from '#testbed/nodes/wiring.ts';
import type { Child } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { asHost, inNetns, inNetnsOf } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { CPU, LOAD_PORT, type Rig } from './rig.ts';

export const HAPROXY_PORT = 9443;
const TLS_PORT = 9444;

/** Two HAProxy processes, one beside the client and one beside the far server, mutual TLS 1.3 between them. */
export async function haproxyPair(rig: Rig): Promise<{ client: Child; server: Child }> {
  await makeCertificates(rig.dir);
  const settings = 'global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n';
  const tls = (name: string): string =>
    `ssl crt ${join(rig.dir, `${name}.both`)} ca-file ${join(rig.dir, 'ca.pem')} verify required`;
  const far = rig.farServer.address[4];
  const clientConfig = join(rig.dir, 'client.cfg');
  const serverConfig = join(rig.dir, 'server.cfg');
  await writeFile(
    clientConfig,
    `${settings}listen in\n  bind 127.0.0.1:${HAPROXY_PORT}\n  server far ${far}:${TLS_PORT} ${tls('a')} verifyhost peer ssl-min-ver TLSv1.3\n`,
  );
  await writeFile(
    serverConfig,
    `${settings}listen in\n  bind ${far}:${TLS_PORT} ${tls('b')} ssl-min-ver TLSv1.3\n  server app ${far}:${LOAD_PORT}\n`,
  );
  const start = (name: string, pid: number, cpu: string, config: string): Child =>
    rig.spawn({
      name,
      command: asHost(rig.plan, inNetnsOf(pid, ['taskset', '-c', cpu, 'haproxy', '-db', '-f', config])),
      logPath: join(rig.plan.logDir, `${name}.log`),
    });
  const server = start('haproxy-server', rig.farServer.pid, CPU.server, serverConfig);
  const client = start('haproxy-client', rig.client.pid, CPU.client, clientConfig);
  await waitUntil('HAProxy listening', 10_000, async () => {
    const inClient = await command(asHost(rig.plan, inNetnsOf(rig.client.pid, ['ss', '-tlnH'])));
    const inServer = await command(asHost(rig.plan, inNetnsOf(rig.farServer.pid, ['ss', '-tlnH'])));
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

export type Bare = { netns: string; address: string; down(): Promise<void> };

/** Two bare namespaces on a bridge of their own, wired like those of the mesh, with the load served in the second. */
export async function bareNamespaces(rig: Rig): Promise<Bare> {
  const name = (part: string): string => `weft-bench-${rig.plan.id}-${part}`;
  const made: string[] = [];
  let server: Child | null = null;
  const down = async (): Promise<void> => {
    await server?.stop();
    for (const netns of made) await command(['ip', 'netns', 'del', netns]);
  };
  try {
    for (const part of ['sw', 'a', 'b']) {
      for (const line of namespaceCommands(name(part))) await command(line);
      made.push(name(part));
    }
    await wire(name('sw'), [name('a'), name('b')]);
    const serve = ['taskset', '-c', CPU.server, rig.load, 'serve', String(LOAD_PORT)];
    const started = rig.spawn({
      name: 'bare',
      command: asHost(rig.plan, inNetns(name('b'), serve)),
      logPath: join(rig.plan.logDir, 'bare.log'),
    });
    server = started;
    await new Promise<void>((resolve) => started.onLine(() => resolve()));
  } catch (error) {
    await down();
    await rig.down();
    throw error;
  }
  return { netns: name('a'), address: '10.79.0.2', down };
}

async function wire(middle: string, hosts: readonly string[]): Promise<void> {
  const sw = { netns: middle, device: 'sw' };
  const lines = [
    ...switchCommands(sw),
    ...hosts.flatMap((netns, index) => {
      const end = { netns, device: 'eth0' };
      return [...portCommands(sw, `port${index}`, end), ...addressCommands(end, `10.79.0.${index + 1}/24`, '')];
    }),
  ];
  for (const line of lines) await command(line);
}
