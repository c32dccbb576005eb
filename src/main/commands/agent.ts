import type { AgentOptions } from '#cli/agent.ts';
import { cleanupNode, startAgent } from '#main/agent/agent-process.ts';
import { controlEndpoint } from '#main/commands/control-access.ts';
import { weftVersion } from '#main/commands/version.ts';
import { removeEmptyParents } from '#platform/files/empty-parents.ts';
import { serve } from '#platform/linux/process/service.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { commandLog } from '#platform/telemetry/command-log.ts';

/** The suffix of service names; Istio's default. */
const CLUSTER_DOMAIN = 'cluster.local';

/** `weft agent`. */
export async function agent(options: AgentOptions): Promise<number> {
  requireMachine();
  const log = commandLog('agent');
  const { node, runDir, bpffs, cgroup, pool4, pool6 } = options;
  const place = { node, runDir, bpffs, cgroup, pool4, pool6 };
  if (options.kind === 'cleanup') {
    await cleanupNode(place, log);
    removeEmptyParents(bpffs);
    return 0;
  }
  const control = controlEndpoint(options.control);
  return serve(async () => {
    const running = await startAgent({
      place,
      control,
      nameservers: options.dnsUpstreams.map(({ ip, port }) => ({ address: ip, port })),
      noNatFor: options.egressNat ? options.noNatFor : null,
      stats: options.stats,
      trustDomain: options.trustDomain,
      clusterDomain: CLUSTER_DOMAIN,
      version: weftVersion(),
      log,
    });
    return { stop: () => running.stop(), ended: running.cleaned.then(() => removeEmptyParents(bpffs)) };
  });
}
