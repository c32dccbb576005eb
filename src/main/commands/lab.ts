import type { LabRequest } from '#cli/lab.ts';
import { PLAIN_LAUNCH } from '#cli/launch-options.ts';
import type { BenchOptions, DemoOptions } from '#cli/look-and-check.ts';
import { gather } from '#main/commands/ask.ts';
import { runConfined, runUnconfined } from '#main/commands/run.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { requireFolder } from '#platform/files/make-directory.ts';
import { nextSignal } from '#platform/linux/process/service.ts';
import { requireMachine, requireRoot } from '#platform/preflight/preflight.ts';
import { runLabCommand } from '#testbed/lab/commands.ts';

/** SIGHUP too: a terminal that closes must not leave namespaces behind. */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `weft lab`: what it makes of the machine is decided in the testbed. Errors: WEFT_NOT_ROOT, and those of the lab. */
export async function lab(request: LabRequest): Promise<number> {
  requireRoot('making network namespaces');
  if (request.kind === 'up') requireResult(request.jsonPath);
  return runLabCommand(request, {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    interruption,
    runWorkload: (agentSocket, workload) => runConfined(agentSocket, { ...PLAIN_LAUNCH, ...workload, nativeTunnel: false }),
    // A host outside the mesh has a namespace, but no agent that would enroll what runs in it.
    runCommand: (place, command) => runUnconfined({ uid: '', addresses: [], ...place }, command),
    meshStatus: gather,
  });
}

/** A second Ctrl-C ends the process at once; a terminal that closes may say so more than once. */
function interruption(): AbortSignal {
  const interruption = new AbortController();
  for (const signal of ENDING_SIGNALS) {
    process.on(signal, () => {
      if (signal === 'SIGINT' && interruption.signal.aborted) endAtOnce();
      interruption.abort();
    });
  }
  return interruption.signal;
}

function endAtOnce(): never {
  process.stderr.write('weft: ended at once; weft lab down, or the next weft lab up of that name, removes what is left\n');
  process.exit(130);
}

/** `weft demo`; what a second Ctrl-C leaves, the next run removes. */
export async function demo(options: DemoOptions): Promise<number> {
  requireResult(options.jsonPath);
  // Loaded here: a lab starts without what only the demo checks.
  const { runDemo } = await import('#testbed/demo.ts');
  const io = {
    out: (text: string) => void process.stdout.write(text),
    err: (text: string) => void process.stderr.write(text),
    interrupted: interruptedOnce(),
  };
  return runDemo({ ...options, io });
}

/** `weft bench`; Ctrl-C ends the measurement under way and removes everything. */
export async function bench(options: BenchOptions): Promise<number> {
  requireMachine();
  requireResult(options.jsonPath);
  // Loaded here: neither a lab nor the demo needs what only a measurement does.
  const { runBench } = await import('../../../bench/bench.ts');
  return runBench({ ...options, out: (text) => void process.stdout.write(text), interrupted: interruptedOnce() });
}

/** Before minutes of work whose result would be lost. Errors: the system's. */
function requireResult(path: string | null): void {
  if (path !== null) requireFolder(path);
}

/** Aborted by the first signal; the second ends the process at once, with the exit code of Ctrl-C in a shell. */
function interruptedOnce(): AbortSignal {
  const interruption = new AbortController();
  nextSignal()
    .then(() => {
      interruption.abort();
      nextSignal()
        .then(() => process.exit(130))
        .catch(toLastResort);
    })
    .catch(toLastResort);
  return interruption.signal;
}
