import { claimPath } from '#control-plane/mesh/claim-path.ts';
import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { CountingRule, RateLimitKey, RateLimitRule } from '#model/waypoint/traffic.ts';
import { readTrafficMatch } from './read-match.ts';
import type { RawKey, RawLimitRule, RawRateLimit, WrittenLimit } from './schema.ts';

/** Rules by who counts for them; the check has made sure that what they say goes together. */
export function readLimit(raw: RawRateLimit, { namespace, name }: Metadata): WrittenLimit {
  const { rules, responseHeaders, service, timeout, onServiceError } = raw;
  const globals = rules.filter(({ scope }) => scope === 'Global');
  return {
    policy: `${namespace}/${name}`,
    rules: rules.filter(({ scope }) => scope === 'Local').map((rule) => readLocalRule(rule, namespace)),
    responseHeaders: responseHeaders === 'DraftVersion03',
    global:
      globals.length === 0
        ? null
        : {
            service: service === undefined ? null : { ...service, namespace: service.namespace ?? namespace },
            timeoutMs: readDurationMs(timeout),
            failOpen: onServiceError === 'Allow',
            rules: globals.map((rule) => readRule(rule, namespace)),
          },
  };
}

/** `own`: the namespace of the policy. */
function readRule({ name, match, key, limit, shadow }: RawLimitRule, own: string): CountingRule {
  return {
    name,
    match: readTrafficMatch(match, own),
    key: (key ?? []).map(readKey),
    requests: limit.requests,
    windowMs: readDurationMs(limit.window),
    shadow,
  };
}

/** A bucket holds what comes in one window, unless it is said. */
function readLocalRule(rule: RawLimitRule, own: string): RateLimitRule {
  const { requests, burst, perReplica } = rule.limit;
  return { ...readRule(rule, own), burst: burst ?? requests, perReplica };
}

/** The check has refused names and paths that are missing. */
function readKey({ type, name = '', path = '' }: RawKey): RateLimitKey {
  switch (type) {
    case 'Header':
      return { type: 'header', name };
    case 'QueryParam':
      return { type: 'query', name };
    case 'JWTClaim':
      return { type: 'claim', path: claimPath(path) ?? [] };
    case 'SourceServiceAccount':
      return { type: 'service-account' };
    case 'SourceNamespace':
      return { type: 'namespace' };
    case 'Method':
      return { type: 'method' };
    case 'Path':
      return { type: 'path' };
    default:
      return { type: 'address' };
  }
}
