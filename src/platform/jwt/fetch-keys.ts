import { lookup } from 'node:dns/promises';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { type RequestOptions, request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { type IpAddress, parseIp, tryParseIp } from '#model/address/ip.ts';
import { whyNotAsked } from '#model/address/outside.ts';
import { WeftError } from '#model/error.ts';
import { JWT } from '#model/settings/jwt.ts';
import type { FetchedKeySet, KeySource } from '#model/waypoint/jwt.ts';
import { bounded } from '#platform/kubernetes/read-body.ts';
import { machineRoots } from '#platform/machine-roots.ts';
import { jwtKeysOf } from './key-set.ts';

/** How servers of keys are reached. */
export type KeyServers = {
  /** All addresses of a name. Errors: any, when there are none. */
  resolve(hostname: string): Promise<readonly IpAddress[]>;
  /** Why an address is not asked; null: it is. */
  whyNot(ip: IpAddress): string | null;
  /** Whose certificates are believed, in PEM. */
  roots(): readonly string[];
};

/** As the machine resolves and trusts; never an address of the machine itself, of its link, or of a metadata service. */
export const SYSTEM_KEY_SERVERS: KeyServers = {
  resolve: async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => parseIp(address)),
  whyNot: whyNotAsked,
  roots: machineRoots,
};

/**
 * Fetches key sets, within the time of their source. What a server answers counts only if it is a key set and no longer than
 * JWT.fetchedBytesMax; it is not followed elsewhere. Errors: WEFT_JWKS, with the reason.
 */
export function fetchKeysFrom(servers: KeyServers): (source: KeySource) => Promise<FetchedKeySet> {
  return async ({ kind, url, timeoutMs }) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => {}); // of one that was in time nobody waits for it
    signal.addEventListener('abort', () => late.reject(failure(url, `no answer within ${timeoutMs} ms`)), { once: true });
    const ask = (from: string) => fetchText(from, signal, servers);
    const fetched = async (): Promise<FetchedKeySet> => {
      const { text, freshMs } = await ask(kind === 'jwks' ? url : keysOfIssuer(url, (await ask(placeOf(url))).text));
      if (jwtKeysOf(text) === null) throw failure(url, 'the answer is no JSON Web Key Set');
      return { jwks: text, freshMs };
    };
    // A name that is being resolved cannot be given up.
    return Promise.race([fetched(), late.promise]);
  };
}

/** OpenID Connect Discovery 1.0, 4.1. */
function placeOf(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

/** What an issuer says of itself must be about itself (4.3), or another one could lend it its keys. */
function keysOfIssuer(issuer: string, text: string): string {
  const { issuer: named, jwks_uri: place } = parseObject(issuer, text);
  if (named !== issuer) throw failure(issuer, 'what it says of itself is about another issuer');
  if (typeof place !== 'string') throw failure(issuer, 'it does not say where its keys are (jwks_uri)');
  return place;
}

function parseObject(issuer: string, text: string): { issuer?: unknown; jwks_uri?: unknown } {
  try {
    return (JSON.parse(text) as object | null) ?? {};
  } catch (cause) {
    throw failure(issuer, 'what it says of itself is no JSON', cause);
  }
}

async function fetchText(
  from: string,
  signal: AbortSignal,
  servers: KeyServers,
): Promise<{ text: string; freshMs: number | null }> {
  const url = URL.parse(from);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw failure(from, 'no http or https address');
  try {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const addresses = await allowed(host, servers);
    const answer = await send(url, { host, lookup: onlyThese(addresses), signal }, servers);
    if (answer.statusCode !== 200) {
      answer.destroy();
      throw new Error(`it answered ${answer.statusCode}`);
    }
    return { text: await bounded(answer, JWT.fetchedBytesMax), freshMs: freshMsOf(answer.headers['cache-control']) };
  } catch (cause) {
    throw failure(from, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** One address that may not be asked is enough: whoever wrote it there means it to be asked. */
async function allowed(host: string, { resolve, whyNot }: KeyServers): Promise<readonly IpAddress[]> {
  const literal = tryParseIp(host);
  const addresses = literal === null ? await resolve(host) : [literal];
  for (const ip of addresses) {
    const why = whyNot(ip);
    if (why !== null) throw new Error(`${host} leads to ${ip}, which is ${why} and is not asked`);
  }
  if (addresses.length === 0) throw new Error(`${host} has no address`);
  return addresses;
}

/** The addresses that were looked at, and no others: a name that is resolved twice can have two answers. */
function onlyThese(addresses: readonly IpAddress[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_name, { all: wantsAll }, done) => {
    const [first = { address: '', family: 4 }] = all;
    if (wantsAll) done(null, all);
    else done(null, first.address, first.family);
  };
}

async function send(url: URL, how: RequestOptions, { roots }: KeyServers): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options: RequestOptions = {
    ...how,
    ...(url.port === '' ? {} : { port: url.port }),
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, accept: 'application/json', 'user-agent': 'weft-waypoint' },
    agent: false,
  };
  const asked =
    url.protocol === 'https:' ? requestHttps({ ...options, ca: [...roots()] }, resolve) : requestHttp(options, resolve);
  asked.on('error', reject);
  asked.end();
  return promise;
}

/** Null: it is not said. */
function freshMsOf(cacheControl: string | undefined): number | null {
  if (cacheControl === undefined) return null;
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return 0;
  const seconds = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(cacheControl)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

/** Of the address without its query, which can hold a secret. */
function failure(from: string, why: string, cause?: unknown): WeftError {
  if (cause instanceof WeftError) return cause;
  const url = URL.parse(from);
  return new WeftError('WEFT_JWKS', `keys of ${url === null ? 'an issuer' : `${url.origin}${url.pathname}`}: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    remedy:
      'see that the key server is there and answers with its key set; write the keys in jwks where it cannot be reached from a waypoint',
  });
}
