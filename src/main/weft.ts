import { readFileSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';
import type { Actions } from '#cli/program.ts';
import { describeError } from '#cli/report-error.ts';
import type { AgentThreadData, SpareThreadData } from '#main/agent/data-thread.ts';
import type { KeeperData } from '#main/control/keeper-thread.ts';
import type { ReaderData } from '#main/control/reader-thread.ts';
import type { WaypointThreadData } from '#main/waypoint/data-thread.ts';
import { COMMAND } from '#model/settings/host.ts';
import { withSourcePlaces } from '#platform/program/source-stacks.ts';

/** Width of the help in a pipe or a file, in columns, so that it does not depend on who asks. */
const COLUMNS_WITHOUT_TERMINAL = 100;

// Each command's code is loaded when it runs: asking for help must not load gRPC and libbpf.
const actions: Actions = {
  up: async (options) => (await import('#main/commands/up.ts')).up(options),
  run: async (options) => (await import('#main/commands/run.ts')).run(options),
  exec: async (options) => (await import('#main/commands/exec.ts')).exec(options),
  logs: async (options) => (await import('#main/commands/logs.ts')).logs(options),
  stop: async (options) => (await import('#main/commands/workloads.ts')).stop(options),
  drain: async (options) => (await import('#main/commands/workloads.ts')).drain(options),
  ps: async (options) => (await import('#main/commands/workloads.ts')).ps(options),
  install: async (options) => (await import('#main/commands/cluster.ts')).install(options),
  uninstall: async (options) =>
    options.kubeconfig === undefined
      ? (await import('#main/commands/uninstall.ts')).uninstall(options)
      : (await import('#main/commands/cluster.ts')).uninstall(options.kubeconfig),
  control: async (options) => (await import('#main/commands/control.ts')).control(options),
  agent: async (options) => (await import('#main/commands/agent.ts')).agent(options),
  waypoint: async (options) => (await import('#main/waypoint/waypoint-process.ts')).waypoint(options),
  ca: async (options) => (await import('#main/commands/ask.ts')).ca(options),
  token: async (options) => (await import('#main/commands/ask.ts')).token(options),
  status: async (options) => (await import('#main/commands/ask.ts')).status(options),
  describe: async (options) => (await import('#main/commands/ask.ts')).describe(options),
  check: async (options) => (await import('#main/commands/check.ts')).check(options),
  logLevel: async (options) => (await import('#main/commands/log-level.ts')).logLevel(options),
  bugReport: async (options) => (await import('#main/commands/bug-report.ts')).bugReport(options),
  validate: async (options) => (await import('#main/commands/validate.ts')).validate(options),
  apply: async (options) => (await import('#main/commands/resources.ts')).apply(options),
  get: async (options) => (await import('#main/commands/resources.ts')).get(options),
  delete: async (options) => (await import('#main/commands/resources.ts')).remove(options),
  diff: async (options) => (await import('#main/commands/resources.ts')).diff(options),
  lab: async (options) => (await import('#main/commands/lab.ts')).lab(options),
  demo: async (options) => (await import('#main/commands/lab.ts')).demo(options),
  bench: async (options) => (await import('#main/commands/lab.ts')).bench(options),
  version: async (options) => (await import('#main/commands/ask.ts')).version(options),
};

// A reader that has seen enough (`weft status | head`) is no error, and must not cut short what a command does.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
// What no command awaited is our own mistake; its stack is all there is to find it by.
process.on('uncaughtException', (error) => {
  process.stderr.write(withSourcePlaces(describeError(error, true)));
  process.exit(1);
});

if (isMainThread) await main();
else await beThread(workerData);

/** A thread of an agent, a waypoint or a control plane runs the same program: a bundle has no other file to begin with. */
async function beThread(data: AgentThreadData | SpareThreadData | WaypointThreadData | ReaderData | KeeperData): Promise<void> {
  const { kind } = data;
  if (kind === 'weft-data-thread') (await import('#main/agent/data-thread.ts')).carryInThread(data);
  else if (kind === 'weft-spare-thread') (await import('#main/agent/data-thread.ts')).carryWhenTold();
  else if (kind === 'weft-waypoint-thread') (await import('#main/waypoint/data-thread.ts')).serveInThread();
  else if (kind === 'weft-keeper-thread') (await import('#main/control/keeper-thread.ts')).keepInThread(data);
  else await (await import('#main/control/reader-thread.ts')).readInThread();
}

async function main(): Promise<void> {
  const debug = (process.env.WEFT_DEBUG ?? '') !== '';
  const { runProgram } = await import('#cli/program.ts'); // a thread of an agent has no use for the commands
  process.exitCode = await runProgram(
    process.argv.slice(2),
    actions,
    {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(withSourcePlaces(text)),
      columns: Math.min(process.stdout.columns ?? COLUMNS_WITHOUT_TERMINAL, COMMAND.columnsMax),
    },
    { debug, readText: (path) => readFileSync(path, 'utf8') },
  );
  // Something that was forgotten (a socket, a timer) must not keep a command from ending; serving commands are over by now.
  setTimeout(() => process.exit(), COMMAND.lingerMs).unref();
}
