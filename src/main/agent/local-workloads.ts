import type { Agent } from '#node-agent/agent.ts';
import { LocalWorkloads } from '#node-agent/enrollment/local-run/local-workloads.ts';
import { systemClock } from '#platform/clock.ts';
import { RegistryClient } from '#platform/grpc/registry-client.ts';
import type { Sandboxes } from '#platform/linux/sandbox/sandboxes.ts';
import type { AgentProcessOptions } from './options.ts';
import { workloadStore } from './workload-store.ts';

/** The workloads that `weft run` starts on this node, with their real sandboxes, registration and file. */
export function openLocalWorkloads(
  agent: Agent,
  sandboxes: Sandboxes,
  file: string,
  options: AgentProcessOptions,
): LocalWorkloads {
  const { control, place, log } = options;
  const registry = new RegistryClient(control, place.node);
  return new LocalWorkloads(agent, {
    sandboxes: {
      create: (key) => sandboxes.create(key),
      remove: (key, how) => sandboxes.remove(key, how),
      isEmpty: (key) => sandboxes.isEmpty(key),
    },
    register: (workloads) => registry.sync(workloads),
    expectedUid: ({ namespace, name }) => `${control.clusterId}/weft.dev/Workload/${namespace}/${name}`,
    store: workloadStore(file),
    clock: systemClock,
    log,
  });
}
