import { type Cidr, cidrContains, type IpAddress, tryParseCidr } from '#model/address/ip.ts';

/** What a node may host and announce, as its token says it. Plain data: it stands in a token and in the state directory. */
export type NodeGrant = {
  /** `<namespace>/<service account>`; `*` stands for any characters of its segment. */
  readonly identities: readonly string[];
  /** Ranges of either family. */
  readonly addresses: readonly string[];
  /** It may run the mesh's own waypoints. */
  readonly waypoints: boolean;
  /** What it runs are pods, which an API server tells of: it registers nothing. */
  readonly podsOnly?: true;
};

/** What a token without a grant (of an older version, say) allows. */
export const NO_GRANT: NodeGrant = Object.freeze({ identities: [], addresses: [], waypoints: false });

/** A service account in its namespace. */
export type Account = { readonly namespace: string; readonly serviceAccount: string };

/** `<namespace>/<service account>`. */
export function accountText({ namespace, serviceAccount }: Account): string {
  return `${namespace}/${serviceAccount}`;
}

/** What the mesh keeps for itself. */
export type Reserved = {
  /** The namespace of the control plane and the agents. */
  readonly rootNamespace: string;
  /** Whether a Gateway's waypoint runs as this account. */
  isWaypoint(account: Account): boolean;
};

const SEGMENT = /^[A-Za-z0-9._*-]{1,253}$/;
/** Accounts of the root namespace that speak for the mesh itself: no node hosts them, whatever its token says. */
const MESH_ACCOUNTS: ReadonlySet<string> = new Set(['istiod', 'weft-control', 'weft-agent']);

/** Whether a text is a pattern of identities, such as `shop/web` or `shop/*`. */
export function isIdentityPattern(text: string): boolean {
  const parts = text.split('/');
  return parts.length === 2 && parts.every((part) => SEGMENT.test(part));
}

/** The grant in a token's claims; null when it is none. What is malformed grants nothing rather than something near it. */
export function tryParseGrant(value: unknown): NodeGrant | null {
  if (typeof value !== 'object' || value === null) return null;
  const { identities, addresses, waypoints, podsOnly }: Partial<Record<keyof NodeGrant, unknown>> = value;
  const isList = (list: unknown, holds: (text: string) => boolean): list is string[] =>
    Array.isArray(list) && list.every((text) => typeof text === 'string' && holds(text));
  if (!isList(identities, isIdentityPattern) || !isList(addresses, (text) => tryParseCidr(text) !== null)) return null;
  return { identities, addresses, waypoints: waypoints === true, ...(podsOnly === true ? { podsOnly } : {}) };
}

/**
 * Why a node with this grant may not host an account; null: it may. A pattern with `*` in its namespace covers neither the
 * root namespace nor a waypoint: who may run anything of users' is not thereby part of the mesh's own machinery.
 */
export function accountRefusal(grant: NodeGrant, account: Account, reserved: Reserved): string | null {
  const name = accountText(account);
  const isRoot = account.namespace === reserved.rootNamespace;
  if (isRoot && MESH_ACCOUNTS.has(account.serviceAccount)) return `${name} is the mesh's own identity, which no node hosts`;
  if (grant.identities.includes(name)) return null;
  if (reserved.isWaypoint(account)) {
    return grant.waypoints ? null : `${name} is the identity of a waypoint, and the token of this node is not for waypoints`;
  }
  const matching = grant.identities.filter((pattern) => matches(pattern, account));
  if (matching.some((pattern) => !isRoot || pattern.startsWith(`${account.namespace}/`))) return null;
  if (matching.length > 0) return `${name} is in the root namespace, which a token has to name without "*"`;
  return `the token of this node is not for identity ${name}, only for ${listOf(grant.identities)}`;
}

/** Whether an address lies in a range of the grant. */
export function coversAddress(grant: NodeGrant, ip: IpAddress): boolean {
  const ranges = grant.addresses.map(tryParseCidr).filter((range): range is Cidr => range !== null);
  return ranges.some((range) => cidrContains(range, ip));
}

/** Why a node with this grant may not announce an address; null: it may. */
export function addressRefusal(grant: NodeGrant, ip: IpAddress): string | null {
  if (coversAddress(grant, ip)) return null;
  return `the token of this node is not for address ${ip}, only for ${listOf(grant.addresses)}`;
}

function matches(pattern: string, { namespace, serviceAccount }: Account): boolean {
  const [forNamespace = '', forAccount = ''] = pattern.split('/');
  return globMatches(forNamespace, namespace) && globMatches(forAccount, serviceAccount);
}

/** Linear in both, however many stars: a token is trusted, but what a node registers is matched against it again and again. */
function globMatches(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

function listOf(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join(', ');
}
