import { parseForm, type TextTest, textTest } from '#model/policy/match.ts';
import { isFraming } from '#model/routing/header-edits.ts';
import type { AuthorizerHttp } from '#model/waypoint/authorizer.ts';
import { type ExternalVerdict, type HeaderEdit, isFinalStatus } from './verdict.ts';

/** What an authorizer is always shown (Envoy), beside method, path and host. */
const ALWAYS_SENT = ['authorization'];
/** What a client always gets of an answer that denies (Envoy). */
const ALWAYS_TO_CLIENT = ['www-authenticate', 'location'];
/** By which an authorizer says what the upstream is not to get. */
const HEADERS_TO_REMOVE = 'x-envoy-auth-headers-to-remove';
const PARTIAL = 'x-envoy-auth-partial-body';
const SERVER_ERROR = 500;
/** The one answer that allows. */
const ALLOWED = 200;

/** What is about the request itself, or is ours to say. */
const ofMessage: TextTest = (name) => isFraming(name) || name === 'expect' || name === PARTIAL;

/** How an authorizer is asked by HTTP, and what its answers mean. */
export type HttpAuthorizer = {
  target(target: string): string;
  /** `pairs`: name, value, …, as are the results. `partial` null: the body is not shown. */
  headers(pairs: readonly string[], partial: boolean | null): string[];
  verdict(status: number, pairs: readonly string[], body: Uint8Array): ExternalVerdict;
};

/** Once for each configuration. */
export function compileHttpAuthorizer(http: AuthorizerHttp): HttpAuthorizer {
  const added = http.addedHeaders.map(({ name }) => name);
  const isSent = anyName([...ALWAYS_SENT, ...http.sentHeaders]);
  const goesUpstream = anyName(http.toUpstream);
  const goesToClient = http.toClientOnDeny.length === 0 ? () => true : anyName([...ALWAYS_TO_CLIENT, ...http.toClientOnDeny]);
  const goesToAllowed = anyName(http.toClientOnAllow);
  return {
    target: (target) => prefixed(http.pathPrefix, target),
    headers(pairs, partial) {
      const sent = chosen(pairs, (name) => isSent(name) && !ofMessage(name) && !added.includes(name));
      return [
        ...sent.flat(),
        ...http.addedHeaders.flatMap(({ name, value }) => [name, value]),
        ...(partial === null ? [] : [PARTIAL, String(partial)]),
      ];
    },
    verdict(status, pairs, body) {
      if (status >= SERVER_ERROR) return { kind: 'error', why: `it answered ${status}` };
      if (status !== ALLOWED) {
        if (!isFinalStatus(status)) return { kind: 'error', why: `it answered ${status}` };
        return { kind: 'deny', status, headers: edits(pairs, goesToClient, 'add'), body };
      }
      return {
        kind: 'allow',
        removed: listed(pairs),
        toUpstream: edits(pairs, (name) => goesUpstream(name) && name !== HEADERS_TO_REMOVE, 'set'),
        toClient: edits(pairs, goesToAllowed, 'set'),
        ...{ removedParams: [], setParams: [] },
      };
    },
  };
}

/** A prefix that ends in a slash does not double the one that paths begin with; `*` of OPTIONS has none. */
function prefixed(prefix: string, target: string): string {
  const path = target.startsWith('/') ? target : '/';
  return prefix === '' ? path : `${prefix.replace(/\/$/, '')}${path}`;
}

/** Of several values under one name the first one replaces what there was, and the others follow. */
function edits(pairs: readonly string[], isChosen: TextTest, first: 'set' | 'add'): HeaderEdit[] {
  const seen = new Set<string>();
  return chosen(pairs, isChosen).map(([name, value]) => {
    const how = seen.has(name) ? 'add' : first;
    seen.add(name);
    return { name, value, how };
  });
}

function listed(pairs: readonly string[]): string[] {
  return chosen(pairs, (name) => name === HEADERS_TO_REMOVE)
    .flatMap(([, value]) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

function chosen(pairs: readonly string[], isChosen: TextTest): [name: string, value: string][] {
  const found: [string, string][] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const [name = '', value = ''] = pairs.slice(at, at + 2);
    if (isChosen(name)) found.push([name, value]);
  }
  return found;
}

function anyName(forms: readonly string[]): TextTest {
  const tests = forms.map((form) => textTest(parseForm(form.toLowerCase())));
  return (name) => tests.some((test) => test(name));
}
