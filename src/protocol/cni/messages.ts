import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';

/** What `cni/weft-cni.c` asks when a runtime has made the network of a pod. */
export type AddRequest = {
  pod: { namespace: string; name: string; uid: string };
  /** By which the pod's namespace is opened: as the runtime names it, and as the plugin itself sees it. */
  netnsPaths: readonly string[];
  addresses: readonly IpAddress[];
  /** The configuration as the plugin was given it; an error is told in its version. */
  cniVersion: string;
};

/** Fixed by cni/weft-cni.c: with these words each answer begins. Another version of either is told by another number. */
const SPEAKS = 'weft-cni 1 ';
/** Fixed by the CNI specification: try again later. */
const CODE_LATER = 11;

/** Fixed by cni/weft-cni.c, which has no other way to know. */
export const PLUGIN_SOCKET = '/run/weft/cni.sock';
/** The same of the list of namespaces that it reads while the agent is away. */
export const NAMESPACES_FILE = '/var/lib/weft/cni/mesh-namespaces';

/** A request as it was read. Errors: WEFT_CNI_REQUEST when it is none, or of another version. */
export function readAddRequest(text: string): AddRequest {
  const raw = parsed(text);
  if (raw.v !== 1) throw unread('it is of another version than this agent');
  const args = new Map(textOf(raw.args).split(';').map(pairOf));
  const pod = {
    namespace: args.get('K8S_POD_NAMESPACE') ?? '',
    name: args.get('K8S_POD_NAME') ?? '',
    uid: args.get('K8S_POD_UID') ?? '',
  };
  const netns = textOf(raw.netns);
  if (pod.namespace === '' || pod.name === '') throw unread('it names no pod');
  if (!netns.startsWith('/') || !Number.isInteger(raw.pid)) throw unread('it names no network namespace');
  const config = objectOf(raw.config);
  const result = objectOf(config.prevResult);
  const addresses = addressesOf(result);
  if (addresses.length === 0) throw unread('the plugins before it have given the pod no address');
  return {
    pod,
    // /var/run is a link to /run on every node, and an agent's container has only one of them.
    netnsPaths: [netns.replace(/^\/var\/run\//, '/run/'), `/proc/${raw.pid}/root${netns}`],
    addresses,
    cniVersion: typeof config.cniVersion === 'string' ? config.cniVersion : '1.0.0',
  };
}

/** Lets the runtime go on: the plugin prints the result of those before it. */
export const PASS_REPLY = `${SPEAKS}pass\n`;

/** Keeps the pod from starting. Its kubelet tells `why` in an event of the pod, and tries again. */
export function refusal(cniVersion: string, why: string): string {
  return `${SPEAKS}error\n${JSON.stringify({ cniVersion, code: CODE_LATER, msg: why })}\n`;
}

/** The list of namespaces whose pods wait while no agent answers. Without its last line it is not whole. */
export function namespacesText(names: readonly string[]): string {
  return [SPEAKS.trim(), ...names, 'end', ''].join('\n');
}

/** Addresses of interfaces within the pod; of all where none is said to be, as before version 0.3. */
function addressesOf(result: Record<string, unknown>): IpAddress[] {
  const interfaces = listOf(result.interfaces).map(objectOf);
  const all = listOf(result.ips).map(objectOf);
  const inside = all.filter(({ interface: at }) => typeof at === 'number' && textOf(interfaces[at]?.sandbox) !== '');
  const chosen = inside.length > 0 ? inside : all;
  return chosen.flatMap(({ address }) => tryParseIp(textOf(address).split('/')[0] ?? '') ?? []);
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

function parsed(text: string): Record<string, unknown> {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    throw unread('it is no JSON');
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function unread(why: string): WeftError {
  return new WeftError('WEFT_CNI_REQUEST', `what weft-cni asks cannot be read: ${why}`, {
    remedy: 'the agent puts its own weft-cni in place when it starts: see that it can write to --cni-bin',
  });
}
