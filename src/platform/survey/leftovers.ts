import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Leftovers } from '#model/check/parts.ts';
import { isBpffs } from '#platform/bpf/bpffs.ts';
import { type TracePlace, traceMesh } from '#platform/files/mesh-traces.ts';
import { knownNodes } from '#platform/files/node-register.ts';
import { isNetnsNameOf } from '#platform/linux/sandbox/sandbox-name.ts';

/** Where iproute2 keeps the names of network namespaces. */
const NETNS_FOLDER = '/run/netns';

/** What dead meshes left on this machine: pins and namespaces without a node. Null: only root sees which nodes there are. */
export function surveyLeftovers(place: TracePlace): Leftovers | null {
  if (process.geteuid?.() !== 0) return null;
  const { orphans, nodes, others } = traceMesh(place, isBpffs);
  const known = new Set([...knownNodes(), ...nodes, ...others].map(({ node }) => node));
  return {
    pins: orphans.map((node) => ({ node, path: join(place.bpffs, 'weft', node) })),
    namespaces: namesIn(NETNS_FOLDER).filter(
      (name) => isSandbox(name) && ![...known, ...orphans].some((node) => isNetnsNameOf(node, name)),
    ),
  };
}

/** Whether only we call a network namespace so. */
function isSandbox(name: string): boolean {
  return /^weft-[a-z0-9-]+-[0-9a-f]{10}$/.test(name);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
