import type { LabRequest } from '#cli/lab.ts';
import { runOn } from '#main/commands/run.ts';
import { status } from '#main/commands/status.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { requireRoot } from '#platform/preflight/preflight.ts';
import { runLabCommand } from '#testbed/lab/commands.ts';

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `weft lab`. */
export async function lab(request: LabRequest): Promise<number> {
  requireRoot('making network namespaces');
  return runLabCommand(request, {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    interruption,
    runWorkload: (agentSocket, workload) => runOn(agentClient(agentSocket), { ...workload, nativeTunnel: false }),
    runCommand: (place, command) =>
      runOn(
        { start: async () => ({ uid: '', addresses: [], ...place }), stop: async () => {} },
        { name: 'outside', namespace: '', serviceAccount: '', labels: {}, nativeTunnel: false, command },
      ),
    meshStatus: (runDir) => status({ runDir, json: false }),
  });
}

/** A second Ctrl-C ends the process at once; a terminal that closes may say so more than once. */
function interruption(): AbortSignal {
  const interruption = new AbortController();
  for (const signal of ENDING_SIGNALS) {
    process.on(signal, () => {
      if (signal === 'SIGINT' && interruption.signal.aborted) process.exit(130);
      interruption.abort();
    });
  }
  return interruption.signal;
}
