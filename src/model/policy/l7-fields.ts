import { ipToBytes16, tryParseCidr, tryParseIp } from '#model/address/ip.ts';
import type { Authenticated } from '#model/authentication/judge.ts';
import { claimTexts } from '#model/authentication/token.ts';
import { compileRegex, quotePattern } from '#model/routing/regex/regex.ts';
import type { L7Condition, L7Operation, L7Source } from '#model/waypoint/config.ts';
import {
  accountTest,
  type BlockTest,
  blockTest,
  destinationTest,
  type FactsTest,
  namespaceTest,
  type PeerFacts,
  pairOf,
  parseForm,
  portTest,
  principalTest,
  sourceTest,
  type TextTest,
  textTest,
} from './match.ts';

/** What a policy can see of a request, or of a connection when `http` is null. The port is the service's when one was dialled. */
export type PolicyFacts = PeerFacts & { readonly http: HttpFacts | null };

/** What only an HTTP request shows. */
export type HttpFacts = {
  readonly method: string;
  /** Normalized path without query. */
  readonly path: string;
  readonly authority: string;
  /** Who the request comes from, by a token that was proved; null: it brought none. */
  readonly authenticated: Authenticated | null;
  /** Every value of the header, in order; `name` in lower case. */
  headerValues(name: string): readonly string[];
};

/** One restriction of a rule. `http`: it needs a request, so a TCP connection cannot answer it. */
export type Field = { readonly http: boolean; readonly test: FactsTest<PolicyFacts> };

/** Thrown while one rule is compiled: the rule then becomes as strict as its action allows. */
export class RuleFault extends Error {}

/** What a `when` entry is read with. */
export type ConditionContext = { readonly trustDomain: string; readonly policyNamespace: string };

/** Any mesh may write its own trust domain so (config-api 3.7). */
const DEFAULT_TRUST_DOMAIN = 'cluster.local';
const HEADER_KEY = /^request\.headers\[([^\][]+)\]$/;
/** Each name of a nested claim has brackets of its own. */
const CLAIM_KEY = /^request\.auth\.claims((?:\[[^\][]+\])+)$/;
const LITERAL_SEGMENT = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]*$/;

/** The restrictions of one `from` entry. Errors: RuleFault. */
export function sourceFields(source: L7Source, trustDomain: string): Field[] {
  return [
    ...peerFields(source.principals, source.notPrincipals, (value) => principalForms(value, trustDomain)),
    ...peerFields(source.namespaces, source.notNamespaces, (value) => namespaceTest(compileGlob(value))),
    ...peerFields(source.serviceAccounts, source.notServiceAccounts, account),
    ...peerFields(source.ipBlocks, source.notIpBlocks, (value) => sourceTest(block(value))),
    ...httpFields(source.requestPrincipals ?? [], source.notRequestPrincipals ?? [], requestPrincipalTest),
  ];
}

/** The restrictions of one `to` entry. Errors: RuleFault. */
export function operationFields(operation: L7Operation): Field[] {
  return [
    ...httpFields(operation.hosts, operation.notHosts, (value) => {
      const test = textTest(parseForm(value.toLowerCase()));
      return ({ authority }) => test(authority.toLowerCase());
    }),
    ...peerFields(operation.ports, operation.notPorts, port),
    ...httpFields(operation.methods, operation.notMethods, (value) => {
      const test = textTest(parseForm(value));
      return ({ method }) => test(method);
    }),
    ...httpFields(operation.paths, operation.notPaths, (value) => {
      const test = compilePath(value);
      if (test === null) throw new RuleFault(`"${value}" is not a valid path template`);
      return ({ path }) => test(path);
    }),
  ];
}

/** The restrictions of one `when` entry. Errors: RuleFault, also for keys that no stage here can answer (SNI). */
export function conditionFields({ key, values, notValues }: L7Condition, context: ConditionContext): Field[] {
  if (values.length + notValues.length === 0) throw new RuleFault(`condition "${key}" has neither values nor notValues`);
  const header = HEADER_KEY.exec(key)?.[1]?.toLowerCase();
  if (header !== undefined) return httpFields(values, notValues, (value) => headerTest(header, value));
  const claim = CLAIM_KEY.exec(key)?.[1];
  if (claim !== undefined) return httpFields(values, notValues, (value) => claimTest(claim.slice(1, -1).split(']['), value));
  switch (key) {
    case 'request.auth.principal':
      return httpFields(values, notValues, requestPrincipalTest);
    case 'request.auth.audiences':
      return httpFields(values, notValues, (value) => claimTest(['aud'], value));
    case 'request.auth.presenter':
      return httpFields(values, notValues, (value) => claimTest(['azp'], value));
    case 'source.ip':
      return peerFields(values, notValues, (value) => sourceTest(block(value)));
    case 'remote.ip':
      return fieldsOf(values, notValues, remoteTest, true);
    case 'source.namespace':
      return peerFields(values, notValues, (value) => namespaceTest(compileGlob(value)));
    case 'source.principal':
      return peerFields(values, notValues, (value) => principalForms(value, context.trustDomain));
    case 'source.serviceAccount':
      return peerFields(values, notValues, (value) =>
        account(value.includes('/') ? value : `${context.policyNamespace}/${value}`),
      );
    case 'source.trustDomain':
      return peerFields(values, notValues, trustDomainTest);
    case 'destination.ip':
      return peerFields(values, notValues, (value) => destinationTest(block(value)));
    case 'destination.port':
      return peerFields(values, notValues, port);
    default:
      throw new RuleFault(`condition "${key}" cannot be evaluated by this waypoint`);
  }
}

function fieldsOf(
  values: readonly string[],
  notValues: readonly string[],
  compile: (value: string) => FactsTest<PolicyFacts>,
  http: boolean,
): Field[] {
  return pairOf(values, notValues, compile).map((test) => ({ http, test }));
}

/** Fields of attributes that a bare connection has, too. */
function peerFields(
  values: readonly string[],
  notValues: readonly string[],
  compile: (value: string) => FactsTest<PeerFacts>,
): Field[] {
  return fieldsOf(values, notValues, compile, false);
}

/** Fields of attributes that only a request has. */
function httpFields(
  values: readonly string[],
  notValues: readonly string[],
  compile: (value: string) => (http: HttpFacts) => boolean,
): Field[] {
  const compileFacts = (value: string): FactsTest<PolicyFacts> => {
    const test = compile(value);
    return ({ http }) => http !== null && test(http);
  };
  return fieldsOf(values, notValues, compileFacts, true);
}

/** A principal as written (with `spiffe://` it never matches, B46), or in the other spelling of the mesh's own trust domain. */
function principalForms(value: string, trustDomain: string): FactsTest<PeerFacts> {
  const defaultPrefix = `${DEFAULT_TRUST_DOMAIN}/`;
  const ownPrefix = `${trustDomain}/`;
  const written = textTest(parseForm(value));
  const respelt = (from: string, to: string): FactsTest<PeerFacts> => {
    const other = textTest(parseForm(to + value.slice(from.length)));
    return principalTest((text) => written(text) || other(text));
  };
  if (value.startsWith(defaultPrefix)) return respelt(defaultPrefix, ownPrefix);
  if (value.startsWith(ownPrefix)) return respelt(ownPrefix, defaultPrefix);
  return principalTest(written);
}

/** `value` is `<namespace>/<name>`. */
function account(value: string): FactsTest<PeerFacts> {
  const [namespace = '', serviceAccount = ''] = value.split('/');
  return accountTest(namespace, serviceAccount);
}

function port(value: string): FactsTest<PeerFacts> {
  const number = Number(value);
  if (!/^\d{1,5}$/.test(value) || number > 65_535) throw new RuleFault(`"${value}" is not a port`);
  return portTest(number);
}

function block(value: string): BlockTest {
  const cidr = tryParseCidr(value);
  if (cidr === null) throw new RuleFault(`"${value}" is not an IP address or CIDR`);
  return blockTest(cidr);
}

function trustDomainTest(value: string): FactsTest<PeerFacts> {
  const test = textTest(parseForm(value));
  return ({ identity }) => identity !== null && test(identity.trustDomain);
}

/** Each header entry is compared by itself (W76). */
function headerTest(name: string, value: string): (http: HttpFacts) => boolean {
  const test = textTest(parseForm(value));
  return (http) => http.headerValues(name).some(test);
}

/** Nobody has the empty principal: without a token there is none. */
function requestPrincipalTest(value: string): (http: HttpFacts) => boolean {
  const test = textTest(parseForm(value));
  return ({ authenticated }) => authenticated !== null && test(authenticated.principal);
}

/** One of the texts of a claim, which is a list perhaps. */
function claimTest(path: readonly string[], value: string): (http: HttpFacts) => boolean {
  const test = textTest(parseForm(value));
  return ({ authenticated }) =>
    authenticated !== null && claimTexts(authenticated.claims, path, authenticated.spaceDelimitedClaims).some(test);
}

/** The rightmost address of x-forwarded-for, else the peer's own (W10). */
function remoteTest(value: string): FactsTest<PolicyFacts> {
  const holds = block(value);
  return ({ http, sourceBytes }) => {
    const last = http?.headerValues('x-forwarded-for').at(-1)?.split(',').at(-1);
    const ip = last === undefined ? null : tryParseIp(last.trim());
    return holds(ip === null ? sourceBytes : ipToBytes16(ip));
  };
}

/** A form in which `*` may stand anywhere (namespaces). Time is linear in the text per `*`. */
function compileGlob(form: string): TextTest {
  const parts = form.split('*');
  const [first = ''] = parts;
  if (parts.length === 1) return (text) => text === form;
  const last = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= text.length - last.length && text !== '';
  };
}

/**
 * Compiles one entry of `paths`: a plain form, or a template with `{*}` (one segment) and `{**}` (any rest).
 * Null when it is a template that config-api 3.3 forbids.
 */
function compilePath(form: string): TextTest | null {
  if (!form.includes('{') && !form.includes('}')) return textTest(parseForm(form));
  if (!form.startsWith('/')) return null;
  const segments = form.slice(1).split('/');
  const anyRest = segments.indexOf('{**}');
  if (anyRest >= 0 && segments.slice(anyRest + 1).some((segment) => segment.startsWith('{'))) return null;
  const patterns = segments.map(segmentPattern);
  if (patterns.includes(null)) return null;
  const outcome = compileRegex(`/${patterns.join('/')}`);
  return outcome.kind === 'compiled' ? (path) => outcome.regex.matches(path) : null;
}

function segmentPattern(segment: string): string | null {
  if (segment === '{*}') return '[^/]+';
  if (segment === '{**}') return '(?s).*';
  return LITERAL_SEGMENT.test(segment) ? quotePattern(segment) : null;
}
