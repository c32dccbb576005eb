import { join } from 'node:path';
import type { LabPlan, NodePlan } from '#testbed/nodes/plan.ts';
import { addressCommands, type CommandLine, namespaceCommands, portCommands, switchCommands } from '#testbed/nodes/wiring.ts';
import type { Child } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { asHost, inNetns } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { CPU, LOAD_PORT, type Rig } from './rig.ts';
import type { Way } from './way.ts';

const LISTEN_MS = 10_000;

/** Two namespaces outside of the mesh: `address` where the load is served, `clientAddress` the other's. */
export type BarePair = { client: string; server: string; address: string; clientAddress: string };

/** The way from one of them to the other, or to a proxy beside the client. */
export function bareWay(rig: Rig, { client }: BarePair, dial: { host: string; port: number }, carriers: readonly number[]): Way {
  return {
    host: dial.host,
    port: String(dial.port),
    carriers,
    atClient: (line) => asHost(rig.plan, inNetns(client, ['taskset', '-c', CPU.client, ...line])),
  };
}

/** Pairs wired like workloads of the mesh: of one node, and of two. Nothing of the mesh touches them. */
export type Bare = { near: BarePair & { proxy: string; proxyAddress: string }; far: BarePair; down(): Promise<void> };

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
  const near = {
    client: name('a'),
    server: name('b'),
    address: '10.79.0.2',
    clientAddress: '10.79.0.1',
    proxy: name('e'),
    proxyAddress: '10.79.0.3',
  };
  const [address, clientAddress] = [`${FAR_NETS.server}.2`, `${FAR_NETS.client}.2`];
  const far = { client: name('c'), server: name('d'), address, clientAddress };
  try {
    for (const netns of [name('sw'), near.client, near.server, near.proxy, far.client, far.server]) {
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
  const started = startBare(rig, netns, CPU.server, [rig.load, 'serve', String(LOAD_PORT)]);
  await new Promise<void>((resolve) => started.onLine(() => resolve()));
  return started;
}

/** Starts a program in a bare namespace; it ends with the rig. */
export function startBare(rig: Rig, netns: string, cpu: string, line: readonly string[]): Child {
  const name = `${line[0]?.split('/').at(-1)} ${netns}`;
  return rig.spawn({
    name,
    command: asHost(rig.plan, inNetns(netns, ['taskset', '-c', cpu, ...line])),
    logPath: join(rig.plan.logDir, `${name.replace(' ', '-')}.log`),
  });
}

/** Returns when something listens on a port in a bare namespace. Errors: WEFT_TESTBED_TIMEOUT. */
export async function listening(rig: Rig, netns: string, port: number): Promise<void> {
  await waitUntil(`a listener on port ${port}`, LISTEN_MS, async () => {
    const sockets = await command(asHost(rig.plan, inNetns(netns, ['ss', '-tlnH'])));
    return sockets.includes(`:${port} `);
  });
}

/** All on one switch, as the workloads of a node are. */
function nearCommands(middle: string, { client, server, proxy }: Bare['near']): CommandLine[] {
  const sw = { netns: middle, device: 'sw' };
  return [
    ...switchCommands(sw),
    ...[client, server, proxy].flatMap((netns, index) => {
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
