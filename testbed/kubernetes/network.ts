/** Where the control plane listens; it stands beside the nodes. */
export const CONTROL = '10.89.0.1';
export const CLUSTER_CIDR = '10.244.0.0/16';
const SERVICE_CIDR = '10.96.0.0/12';
/** The device of every node's end of its link. */
const NODE_DEVICE = 'eth0';

/** The address of the node with this number, counted from 1, and the addresses of its pods. */
export function addressesOf(number: number): { address: string; podCidr: string } {
  return { address: `10.89.0.${10 + number}`, podCidr: `10.244.${number}.0/24` };
}

/** The control plane's end of a node's link. */
export function linkOf(node: string): string {
  return `to-${node}`;
}

/** Commands in the control plane's network, before there are nodes. */
export function bridgeCommands(): string[][] {
  return ['link set lo up', 'link add nodes type bridge', `address add ${CONTROL}/24 dev nodes`, 'link set nodes up'].map(ip);
}

/** Commands in the control plane's network that join a node to it, whose first process is `pid`. */
export function joinCommands(node: string, number: number, pid: number): string[][] {
  const { address, podCidr } = addressesOf(number);
  return [
    `link add ${linkOf(node)} type veth peer name ${NODE_DEVICE} netns ${pid}`,
    `link set ${linkOf(node)} master nodes up`,
    `route replace ${podCidr} via ${address}`, // it is there when a node starts anew
    // The first node's kube-proxy serves what runs beside the control plane, such as a test.
    ...(number === 1 ? [`route replace ${SERVICE_CIDR} via ${address}`] : []),
  ].map(ip);
}

/** Commands in a node's network, of `count` nodes. The default route comes last: by it the node knows that it is joined. */
export function nodeCommands(number: number, count: number): string[][] {
  const others = Array.from({ length: count }, (_, index) => index + 1).filter((other) => other !== number);
  return [
    'link set lo up',
    `address add ${addressesOf(number).address}/24 dev ${NODE_DEVICE}`,
    `link set ${NODE_DEVICE} up`,
    ...others.map(addressesOf).map(({ address, podCidr }) => `route add ${podCidr} via ${address}`),
    `route add default via ${CONTROL}`,
  ].map(ip);
}

function ip(words: string): string[] {
  return ['ip', ...words.split(' ')];
}
