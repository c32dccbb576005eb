import type { FabricPlan, NodePlan } from './plan.ts';
import { CONTROL_HOST, LINK_INTERFACE, OUTSIDE_4, OUTSIDE_6, plannedNamespaces } from './plan.ts';

/** One command line; the first word is the program. */
export type CommandLine = readonly string[];

/** A namespace with one link to each node: `ctl`, where the control plane runs, or `outside`. */
type Hub = { netns: string; port: string; address4: string; address6: string; net4: string; net6: string };

/**
 * The commands that turn a plan into namespaces, links and routes, in order.
 *
 *   alpha ══wire══ beta                      what crosses here is captured: only HBONE may
 *   ctl ══mgmt══ alpha, ctl ══mgmt══ beta    control traffic stays off the captured link
 *   outside ══out══ alpha, … ══out══ beta    a host that knows nothing of the mesh
 */
export function wiringCommands(plan: FabricPlan): CommandLine[] {
  const { alpha, beta } = plan.nodes;
  const control: Hub = {
    netns: plan.ctlNetns,
    port: 'mgmt',
    address4: CONTROL_HOST,
    address6: 'fd90::1',
    net4: '10.90',
    net6: 'fd90:0:0',
  };
  const outside: Hub = {
    netns: plan.outsideNetns,
    port: 'out',
    address4: OUTSIDE_4,
    address6: OUTSIDE_6,
    net4: '10.91',
    net6: 'fd91:0:0',
  };
  return [
    ...plannedNamespaces(plan).flatMap(namespaceCommands),
    ...linkCommands(alpha, beta),
    ...[control, outside].flatMap((hub) => [
      ...addressCommands(hub.netns, 'lo', `${hub.address4}/32`, `${hub.address6}/128`),
      ...[alpha, beta].flatMap((node) => spokeCommands(hub, node)),
    ]),
  ];
}

/** Interfaces made later inherit `default`, so forwarding is on for the workloads' interfaces too. */
function namespaceCommands(netns: string): CommandLine[] {
  const settings = ['ipv4.ip_forward=1', 'ipv6.conf.all.forwarding=1', 'ipv6.conf.default.forwarding=1'];
  return [
    ['ip', 'netns', 'add', netns],
    ['ip', '-n', netns, 'link', 'set', 'lo', 'up'],
    ['nsenter', `--net=/run/netns/${netns}`, 'sysctl', '-qw', ...settings.map((setting) => `net.${setting}`)],
  ];
}

function linkCommands(alpha: NodePlan, beta: NodePlan): CommandLine[] {
  return [
    ...vethCommands(alpha.netns, LINK_INTERFACE, beta.netns, LINK_INTERFACE),
    ...addressCommands(alpha.netns, LINK_INTERFACE, `${alpha.link4}/24`, `${alpha.link6}/64`),
    ...addressCommands(beta.netns, LINK_INTERFACE, `${beta.link4}/24`, `${beta.link6}/64`),
    ...routeCommands(alpha.netns, [beta.pool4, 'via', beta.link4], [beta.pool6, 'via', beta.link6]),
    ...routeCommands(beta.netns, [alpha.pool4, 'via', alpha.link4], [alpha.pool6, 'via', alpha.link6]),
  ];
}

function spokeCommands(hub: Hub, node: NodePlan): CommandLine[] {
  const net4 = `${hub.net4}.${node.index}`;
  const net6 = `${hub.net6}:${node.index}`;
  const hubPort = `${hub.port}${node.index}`;
  return [
    ...vethCommands(node.netns, hub.port, hub.netns, hubPort),
    ...addressCommands(hub.netns, hubPort, `${net4}.1/24`, `${net6}::1/64`),
    ...addressCommands(node.netns, hub.port, `${net4}.2/24`, `${net6}::2/64`),
    ...routeCommands(node.netns, [`${hub.address4}/32`, 'via', `${net4}.1`], [`${hub.address6}/128`, 'via', `${net6}::1`]),
    // Workloads know the hub by its one address, whichever link it uses.
    ...routeCommands(
      hub.netns,
      [node.pool4, 'via', `${net4}.2`, 'src', hub.address4],
      [node.pool6, 'via', `${net6}::2`, 'src', hub.address6],
    ),
  ];
}

function vethCommands(netns: string, device: string, peerNetns: string, peerDevice: string): CommandLine[] {
  return [
    ['ip', '-n', netns, 'link', 'add', device, 'type', 'veth', 'peer', 'name', peerDevice, 'netns', peerNetns],
    ['ip', '-n', netns, 'link', 'set', device, 'up'],
    ['ip', '-n', peerNetns, 'link', 'set', peerDevice, 'up'],
  ];
}

function addressCommands(netns: string, device: string, address4: string, address6: string): CommandLine[] {
  return [
    ['ip', '-n', netns, 'address', 'add', address4, 'dev', device],
    // Duplicate detection would keep the address unusable for a second; nobody else is on these links.
    ['ip', '-n', netns, '-6', 'address', 'add', address6, 'dev', device, 'nodad'],
  ];
}

function routeCommands(netns: string, route4: CommandLine, route6: CommandLine): CommandLine[] {
  return [
    ['ip', '-n', netns, 'route', 'add', ...route4],
    ['ip', '-n', netns, '-6', 'route', 'add', ...route6],
  ];
}
