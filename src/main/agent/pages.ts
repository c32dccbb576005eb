import type { Clock } from '#model/effects/clock.ts';
import { within } from '#model/effects/within.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Agent } from '#node-agent/agent.ts';
import type { NodeWorkloads } from '#node-agent/enrollment/node-workloads.ts';
import { configDump, identityState } from '#node-agent/status/config-dump.ts';
import { servePlugin } from '#platform/cni/serve-plugin.ts';
import { serveMetrics } from '#platform/telemetry/metrics-server.ts';
import { type Page, type PageServer, type Pages, servePages } from '#platform/telemetry/page-server.ts';
import type { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { describedCertificates } from '#protocol/ca/pem.ts';
import type { AgentProcessOptions } from './effects.ts';

/** What the pages of an agent are made of. */
export type PageParts = {
  agent: Agent;
  local: Pick<NodeWorkloads, 'isReady'>;
  certificates: CertificateCache;
  maps: Pick<KernelMaps, 'flows'>;
  version: string;
  clock: Clock;
};

const TEXT = 'text/plain';

/** Whether the agent serves, as probes ask: what it waits for by the names that a ztunnel has for it, and whether its threads turn. */
export function healthPages(parts: PageParts): Pages {
  const { agent, clock } = parts;
  return new Map<string, () => Page | Promise<Page>>([
    ['/healthz/ready', () => readyPage(parts)],
    [
      '/healthz/live',
      async () => {
        const settled = agent.carriers.settled().then(() => true);
        return (await within(clock, AGENT.knowledgeDeadlineMs, settled))
          ? { type: TEXT, body: 'live\n' }
          : { status: 500, type: TEXT, body: 'a thread that carries connections does not answer\n' };
      },
    ],
  ]);
}

function readyPage({ agent, local }: Pick<PageParts, 'agent' | 'local'>): Page {
  const pending = [...(agent.synced ? [] : ['state manager']), ...(local.isReady() ? [] : ['workload proxy manager'])];
  if (pending.length === 0) return { type: TEXT, body: 'ready\n' };
  return { status: 500, type: TEXT, body: `not ready, pending: ${pending.join(', ')}\n` };
}

/**
 * Answers the same on a socket that only this agent has; `path` null: nowhere. Agents of one node, one before and one after a handover,
 * cannot be told apart by a port. Returns what ends that. Errors: WEFT_SOCKET_PATH.
 */
export async function serveReadiness(path: string | null, parts: Pick<PageParts, 'agent' | 'local'>): Promise<() => void> {
  if (path === null) return () => {};
  return servePlugin(path, async () => readyPage(parts).body);
}

/** What the agent holds, as `istioctl ztunnel-config` reads it. */
export function adminPages(parts: PageParts): Pages {
  const dump = async (): Promise<Page> => ({ type: 'application/json', body: JSON.stringify(await dumpOf(parts)) });
  return new Map([['/config_dump', dump]]);
}

async function dumpOf({ agent, certificates, maps, version }: PageParts) {
  const identities = certificates.snapshot().map(({ identity, error }) => {
    const held = certificates.current(parseIdentity(identity));
    return {
      identity,
      state: identityState(held !== null, error),
      certChain: describedCertificates(held?.chainPem ?? ''),
      rootCerts: describedCertificates((held?.rootsPem ?? []).join('')),
    };
  });
  const calls = await agent.carriers.listed();
  return configDump({ mesh: agent.mesh, enrolled: agent.enrollment.all(), calls, maps, certificates: identities, version });
}

/** Serves what was asked for; the metrics page has the answers for probes, too. Their problems are told as one. */
export async function servePagesOf(
  parts: PageParts,
  { stats, health, admin, log }: Pick<AgentProcessOptions, 'stats' | 'health' | 'admin' | 'log'>,
): Promise<PageServer> {
  const { meters } = parts.agent;
  const healthy = healthPages(parts);
  const metrics = await serveMetrics(meters, stats, log, { others: healthy });
  const others = [
    await servePages({ pages: healthy, name: 'health page', option: '--health' }, health, { meters, log }),
    await servePages({ pages: adminPages(parts), name: 'admin page', option: '--admin' }, admin, { meters, log }),
  ];
  const all = [metrics, ...others];
  return {
    get address() {
      return metrics.address;
    },
    get problems() {
      return all.flatMap(({ problems }) => problems);
    },
    close: () => {
      for (const one of all) one.close();
    },
  };
}
