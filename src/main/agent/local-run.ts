import { readFile } from 'node:fs/promises';
import type { IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { guardedClock } from '#model/effects/mishaps.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Agent } from '#node-agent/agent.ts';
import { LocalWorkloads } from '#node-agent/enrollment/local-run/local-workloads.ts';
import { bridgeName, egressNat, expectedUid, searchDomains } from '#node-agent/enrollment/local-run/sandbox-names.ts';
import { type StateFile, workloadStore } from '#node-agent/enrollment/local-run/workload-store.ts';
import type { NodePaths } from '#node-agent/node-places.ts';
import { resume } from '#node-agent/succession.ts';
import { systemClock } from '#platform/clock.ts';
import { replaceFile } from '#platform/files/replace-file.ts';
import { RegistryClient } from '#platform/grpc/control-clients.ts';
import { addressesOf, GATEWAY_HOST, parsePool } from '#platform/linux/net/address-pool.ts';
import { followRoutes } from '#platform/linux/net/routes.ts';
import { createSandboxes, type Sandboxes } from '#platform/linux/sandbox/sandboxes.ts';
import { systemRandom } from '#platform/random.ts';
import type { AgentProcessOptions } from './effects.ts';
import type { Hosting } from './hosting.ts';

/** What the sandboxes of a node depend on; `noNatFor` null: workloads reach only what routes back to the pools. */
export type SandboxSettings = {
  place: AgentProcessOptions['place'];
  paths: NodePaths;
  clusterDomain: string;
  noNatFor: readonly string[] | null;
  log: Log;
};

/** The sandboxes of a node. */
export function openSandboxes({ place, paths, clusterDomain, noNatFor, log }: SandboxSettings): Sandboxes {
  return createSandboxes({
    node: place.node,
    runDir: paths.nodeDir,
    cgroupRoot: paths.cgroup,
    pool4: place.pool4,
    pool6: place.pool6,
    bridge: bridgeName(place.node),
    resolvSearch: (namespace) => searchDomains(namespace, clusterDomain),
    // null: workloads ask the DNS responder at their gateway, the node's uplinks are found by its routes, and the MTU is
    // the kernel's default.
    nameservers: null,
    uplinks: null,
    egressNat: egressNat(noNatFor),
    mtuBytes: null,
    log,
  });
}

/** Workloads of `weft run`, in sandboxes that this agent makes. */
export function sandboxHosting(options: AgentProcessOptions, paths: NodePaths): Hosting {
  const { place, clusterDomain, noNatFor, log, mishaps } = options;
  const sandboxes = openSandboxes({ place, paths, clusterDomain, noNatFor, log });
  return {
    prepare: async () => void (await sandboxes.prepareNode()),
    holdAll: () => sandboxes.holdAll(),
    releaseAll: () => sandboxes.releaseAll(),
    resume: async (agent) => resume(agent, await workloadStore(stateFile(paths.workloads)).load()),
    async open(agent) {
      const { local, closeRegistry } = openLocalWorkloads(agent, sandboxes, paths.workloads, options);
      const unfollow = followRoutes(guardedClock(systemClock, mishaps), AGENT.routesLookMs, () => sandboxes.routesChanged());
      const close = (): void => {
        unfollow();
        closeRegistry();
      };
      return { local, degraded: () => sandboxes.degraded(), close };
    },
  };
}

/** The workloads of a node, and what ends their registration. */
export type OpenedLocalRun = { local: LocalWorkloads; closeRegistry(): void };

/** The workloads that `weft run` starts on this node, with their real sandboxes, registration and file. */
export function openLocalWorkloads(
  agent: Agent,
  sandboxes: Sandboxes,
  file: string,
  { control, place, log }: AgentProcessOptions,
): OpenedLocalRun {
  const registry = new RegistryClient(control, place.node);
  const local = new LocalWorkloads(agent, {
    sandboxes,
    register: (workloads) => registry.sync(workloads, gatewaysOf(place)),
    expectedUid: (key) => expectedUid(control.clusterId, key),
    store: workloadStore(stateFile(file)),
    clock: systemClock,
    random: systemRandom,
    log,
  });
  // Local first: its last change is not to open a new call.
  const closeRegistry = (): void => {
    local.close();
    registry.close();
  };
  return { local, closeRegistry };
}

/** The gateways of the node's pools: no workload, of this node or another, may have their addresses. */
function gatewaysOf({ pool4, pool6 }: { pool4: string; pool6: string }): readonly IpAddress[] {
  return addressesOf(parsePool(pool4, pool6), GATEWAY_HOST);
}

/** A file that is replaced as a whole; for root alone. */
export function stateFile(path: string): StateFile {
  return {
    path,
    read: () =>
      readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw error;
      }),
    replace: (text) => replaceFile(path, text),
  };
}
