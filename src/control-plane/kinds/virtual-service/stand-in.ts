import { fieldOf, readableMetadata, type StandIn } from '#control-plane/resources/stand-in.ts';
import { MESH_GATEWAY } from './read.ts';
import type { VirtualServiceResource } from './resource.ts';

/** What only says where requests go, and how often it is tried. */
const DISTRIBUTES: readonly string[] = ['name', 'match', 'route', 'timeout', 'retries', 'mirror', 'mirrors'];

/**
 * What stands for a VirtualService that cannot be used: a rule without backends, which answers 500 to every request. Null for
 * one that only distributes: then the service itself answers.
 */
export function standInForVirtualService(document: unknown, name: string): StandIn | null {
  const spec = fieldOf(document, 'spec');
  const http = fieldOf(spec, 'http');
  // Rules that are no list may have held anything.
  if (http === undefined || (Array.isArray(http) && !http.some(doesMore))) return null;
  const listed = fieldOf(spec, 'hosts');
  const hosts = (Array.isArray(listed) ? listed : []).filter((host): host is string => typeof host === 'string' && host !== '');
  if (hosts.length === 0) return null;
  const parts = { requestHeaders: null, responseHeaders: null, requestTimeoutMs: null };
  const resource: VirtualServiceResource = {
    kind: 'VirtualService',
    metadata: readableMetadata(document, name),
    hosts: hosts.map((host) => host.toLowerCase()),
    gateways: [MESH_GATEWAY],
    exportTo: [],
    http: [
      {
        name: 'unusable',
        matches: [{ name: '', match: null }],
        destinations: [],
        mirrors: [],
        rewrite: null,
        parts,
        unsupported: [],
      },
    ],
    delegated: [],
    connections: [],
  };
  return { resource, effect: `requests to ${hosts.join(', ')} that no other route takes are answered 500` };
}

/** Whether a rule does anything beside distributing: only then does its loss let something through that was not meant. */
function doesMore(rule: unknown): boolean {
  return typeof rule !== 'object' || rule === null || Object.keys(rule).some((field) => !DISTRIBUTES.includes(field));
}
