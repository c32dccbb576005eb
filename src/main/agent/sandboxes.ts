import { createHash } from 'node:crypto';
import type { AgentPlace } from '#cli/agent.ts';
import { tryParseCidr } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { createSandboxes, type Sandboxes } from '#platform/linux/sandbox/sandboxes.ts';
import type { AgentPaths } from './paths.ts';

/** The sandboxes of a node; `noNatFor` null: workloads reach only what routes back to the pools. */
export function openSandboxes(
  place: AgentPlace,
  paths: AgentPaths,
  clusterDomain: string,
  noNatFor: readonly string[] | null,
  log: Log,
): Sandboxes {
  const excluded = (noNatFor ?? []).flatMap((text) => tryParseCidr(text) ?? []);
  return createSandboxes({
    node: place.node,
    runDir: paths.nodeDir,
    cgroupRoot: paths.cgroup,
    pool4: place.pool4,
    pool6: place.pool6,
    // Interface names have 15 characters; the hash keeps nodes of one kernel apart.
    bridge: `weft-${createHash('sha256').update(place.node).digest('hex').slice(0, 8)}`,
    resolvSearch: (namespace) => [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain],
    nameservers: null,
    uplinks: null,
    egressNat: noNatFor === null ? null : { excluded },
    mtuBytes: null,
    log,
  });
}
