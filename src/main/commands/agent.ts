import type { AgentOptions } from '#cli/agent.ts';
import { USUAL_POOLS } from '#cli/command.ts';
import { startAgent } from '#main/agent/agent-process.ts';
import { holdingOf } from '#main/agent/holding.ts';
import { cleanupNode } from '#main/agent/removal.ts';
import { agentEndpoint, agentPools, weftVersion } from '#main/commands/control-access.ts';
import { createMishaps } from '#model/effects/mishaps.ts';
import { systemClock } from '#platform/clock.ts';
import { claimDirectory } from '#platform/files/marked-directory.ts';
import { forgetNode, holdNode } from '#platform/files/node-register.ts';
import { registerPrivate } from '#platform/files/private-places.ts';
import { removeEmptyParents } from '#platform/files/run-dir.ts';
import { surviveMishaps } from '#platform/linux/process/last-resort.ts';
import { serve } from '#platform/linux/process/service.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { commandLog } from '#platform/telemetry/log.ts';

/** The suffix of service names; Istio's default. */
const CLUSTER_DOMAIN = 'cluster.local';

/**
 * `weft agent`: serves until a signal, or until somebody asks it to leave the mesh or its node to another agent; with --cleanup it removes what an
 * agent of the node left. Errors: those of the machine, WEFT_CONTROL_FILE, WEFT_ALREADY_RUNNING.
 */
export async function agent(options: AgentOptions): Promise<number> {
  requireMachine();
  const log = commandLog('agent');
  const { node, runDir, bpffs, cgroup } = options;
  if (options.kind === 'cleanup') {
    // Only for addresses that the records of a node do not name: where it is cleaned up, it has no token.
    const { pool4, pool6 } = options;
    const place = { node, runDir, bpffs, cgroup, pool4: pool4 ?? USUAL_POOLS.pool4, pool6: pool6 ?? USUAL_POOLS.pool6 };
    // Its own agent would go on with what is taken from under it, and so would one of another run directory.
    const held = holdNode(await holdingOf(place));
    await cleanupNode(place, log).finally(() => held.release());
    forgetNode(node);
    removeEmptyParents(bpffs);
    return 0;
  }
  const hide = (): void => void registerPrivate([runDir, options.control.tokenFile]);
  const control = agentEndpoint(options, hide); // before anything is put into the kernel
  const place = { node, runDir, bpffs, cgroup, ...(await agentPools(options, control)) };
  claimDirectory(runDir, { kind: 'run' });
  hide();
  const mishaps = createMishaps(log, systemClock);

  return serve(async () => {
    const running = await startAgent({
      place,
      control,
      nameservers: options.dnsUpstreams.map(({ ip, port }) => ({ address: ip, port })),
      noNatFor: options.egressNat ? options.noNatFor : null,
      replace: options.replace,
      stats: options.stats,
      health: options.health,
      admin: options.admin,
      crlFile: options.crl,
      cni: options.cni,
      drain: options.drain,
      readySocket: options.readySocket,
      threads: options.threads,
      trustDomain: options.trustDomain,
      datagramsClear: options.udpBetweenNodes === 'allow-plaintext',
      onDemand: options.onDemand,
      clusterDomain: CLUSTER_DOMAIN,
      version: weftVersion(),
      log,
      mishaps,
    });
    // Only now: a start that fails half-way has to end, not to go on as half an agent.
    surviveMishaps(mishaps);
    // Stopping leaves the data path pinned, for the next agent to adopt; only an agent that cleaned up may take the parents.
    const cleaned = running.cleaned.then(() => removeEmptyParents(bpffs));
    return {
      stop: () => running.stop(),
      stopMs: running.stopMs,
      ended: Promise.race([cleaned, running.replaced]),
      successorArguments: ['--replace'],
    };
  });
}
