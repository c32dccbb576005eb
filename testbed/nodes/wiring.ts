import {
  CONTROL_HOST,
  type LabPlan,
  LINK_INTERFACE,
  type LinkEnd,
  type NodePlan,
  OUTSIDE_4,
  OUTSIDE_6,
  plannedNamespaces,
} from './plan.ts';

/** One command line; the first word is the program. */
export type CommandLine = readonly string[];

/** A namespace with one link to each node: `ctl`, where the control plane runs, or `outside`. */
type Hub = { netns: string; port: string; address4: string; address6: string; net4: string; net6: string };

/**
 * The commands that turn a plan into namespaces, links and routes, in order.
 *
 *   alpha ══wire══ beta                      what crosses here is captured: only HBONE may (more nodes: a switch)
 *   ctl ══mgmt══ alpha, ctl ══mgmt══ beta    control traffic stays off the captured link
 *   outside ══out══ alpha, … ══out══ beta    a host that knows nothing of the mesh
 */
export function wiringCommands(plan: LabPlan): CommandLine[] {
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
    ...plannedNamespaces(plan).flatMap((netns) => [...namespaceCommands(netns), forwardingCommand(netns)]),
    ...wireCommands(plan),
    ...[control, outside].flatMap((hub) => [
      ...addressCommands({ netns: hub.netns, device: 'lo' }, `${hub.address4}/32`, `${hub.address6}/128`),
      ...plan.nodes.flatMap((node) => spokeCommands(hub, node)),
    ]),
  ];
}

/** A named network namespace whose loopback is up. */
export function namespaceCommands(netns: string): CommandLine[] {
  return [
    ['ip', 'netns', 'add', netns],
    ['ip', '-n', netns, 'link', 'set', 'lo', 'up'],
  ];
}

/** A cable between two namespaces. */
export function cableCommands(one: LinkEnd, other: LinkEnd): CommandLine[] {
  const peer = ['peer', 'name', other.device, 'netns', other.netns];
  return [
    ['ip', '-n', one.netns, 'link', 'add', one.device, 'type', 'veth', ...peer],
    ['ip', '-n', one.netns, 'link', 'set', one.device, 'up'],
    ['ip', '-n', other.netns, 'link', 'set', other.device, 'up'],
  ];
}

/** A switch; its namespace must exist. */
export function switchCommands({ netns, device }: LinkEnd): CommandLine[] {
  return [
    ['ip', '-n', netns, 'link', 'add', device, 'type', 'bridge'],
    ['ip', '-n', netns, 'link', 'set', device, 'up'],
  ];
}

/** A cable from a switch, where its end is called `port`, to an interface of a namespace. */
export function portCommands(middle: LinkEnd, port: string, end: LinkEnd): CommandLine[] {
  return [
    ...cableCommands({ netns: middle.netns, device: port }, end),
    ['ip', '-n', middle.netns, 'link', 'set', port, 'master', middle.device],
  ];
}

/** Addresses with their prefix lengths; an empty `address6`: none. */
export function addressCommands({ netns, device }: LinkEnd, address4: string, address6: string): CommandLine[] {
  const inet4 = ['ip', '-n', netns, 'address', 'add', address4, 'dev', device];
  // Duplicate detection would keep the address unusable for a second; nobody else is on these links.
  const inet6 = ['ip', '-n', netns, '-6', 'address', 'add', address6, 'dev', device, 'nodad'];
  return address6 === '' ? [inet4] : [inet4, inet6];
}

/** Interfaces made later inherit `default`, so forwarding is on for the workloads' interfaces too. */
function forwardingCommand(netns: string): CommandLine {
  const settings = ['ipv4.ip_forward=1', 'ipv6.conf.all.forwarding=1', 'ipv6.conf.default.forwarding=1'];
  return ['nsenter', `--net=/run/netns/${netns}`, 'sysctl', '-qw', ...settings.map((setting) => `net.${setting}`)];
}

/** Two nodes are joined by a cable, which costs nothing that a measurement could show; more of them by a switch. */
function wireCommands({ nodes, switchNetns }: LabPlan): CommandLine[] {
  const wire = ({ netns }: { netns: string }): LinkEnd => ({ netns, device: LINK_INTERFACE });
  const [alpha, beta] = nodes;
  if (alpha === undefined || beta === undefined) return [];
  const middle = switchNetns === null ? null : wire({ netns: switchNetns });
  return [
    ...(middle === null
      ? cableCommands(wire(alpha), wire(beta))
      : [...switchCommands(middle), ...nodes.flatMap((node) => portCommands(middle, node.name, wire(node)))]),
    ...nodes.flatMap((node) => addressCommands(wire(node), `${node.link4}/24`, `${node.link6}/64`)),
    ...nodes.flatMap((node) =>
      nodes
        .filter((other) => other !== node)
        .flatMap(({ pool4, pool6, link4, link6 }) => routeCommands(node.netns, [pool4, 'via', link4], [pool6, 'via', link6])),
    ),
  ];
}

function spokeCommands(hub: Hub, node: NodePlan): CommandLine[] {
  const net4 = `${hub.net4}.${node.index}`;
  const net6 = `${hub.net6}:${node.index}`;
  const hubEnd = { netns: hub.netns, device: `${hub.port}${node.index}` };
  const nodeEnd = { netns: node.netns, device: hub.port };
  return [
    ...cableCommands(nodeEnd, hubEnd),
    ...addressCommands(hubEnd, `${net4}.1/24`, `${net6}::1/64`),
    ...addressCommands(nodeEnd, `${net4}.2/24`, `${net6}::2/64`),
    ...routeCommands(node.netns, [`${hub.address4}/32`, 'via', `${net4}.1`], [`${hub.address6}/128`, 'via', `${net6}::1`]),
    // Workloads know the hub by its one address, whichever link it uses.
    ...routeCommands(
      hub.netns,
      [node.pool4, 'via', `${net4}.2`, 'src', hub.address4],
      [node.pool6, 'via', `${net6}::2`, 'src', hub.address6],
    ),
  ];
}

function routeCommands(netns: string, route4: CommandLine, route6: CommandLine): CommandLine[] {
  return [
    ['ip', '-n', netns, 'route', 'add', ...route4],
    ['ip', '-n', netns, '-6', 'route', 'add', ...route6],
  ];
}
