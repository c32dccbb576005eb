import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { Bookshop, waitReady } from './apps/bookshop.ts';
import { ECHO_PORT } from './apps/shop.ts';
import type { CheckResult } from './checks/check.ts';
import { allChecks, allPassed, resultTable, runChecks, writeResults } from './checks/run-checks.ts';
import { type LabIo, liveThrough, requireLabMachine, tellEndings, untilInterrupted } from './lab/life.ts';
import { sweepDeadLabs } from './nodes/nodes.ts';
import { planLab, wireOf } from './nodes/plan.ts';
import { type BpfObject, bpfObjects } from './observers/bpf-objects.ts';
import { inNetns, weft } from './processes/command-lines.ts';

/** What `weft demo` was told. */
export type DemoRequest = { once: boolean; jsonPath: string | null; io: LabIo };

/**
 * Runs the bookshop on two virtual nodes: with `once` through all checks, else until it is interrupted.
 * Returns the exit code: 0 when all checks passed (or a visitor has seen enough), 1 otherwise.
 * Whatever happens, everything it made is removed; only logs of a run that failed are kept.
 * Errors: those of the preflight (nothing was made yet).
 */
export async function runDemo({ once, jsonPath, io }: DemoRequest): Promise<number> {
  const cgroup2Mount = await requireLabMachine(once);
  const plan = planLab(randomBytes(3).toString('hex'), tmpdir(), cgroup2Mount);
  for (const id of await sweepDeadLabs(plan)) io.out(`removed what the dead lab ${id} had left\n`);
  const before = await bpfObjects();
  const mesh = new Bookshop(plan);
  return liveThrough(mesh, io, {
    async open(tell) {
      await mesh.start(tell);
      tell('waiting until every path works');
      await waitReady(mesh, io.interrupted);
    },
    body: () => (once ? check(mesh, before, jsonPath, io) : visit(mesh, io)),
    // A visitor may leave before the doors open; checks that did not run did not pass.
    wellWithoutBody: !once,
  });
}

async function check(mesh: Bookshop, before: readonly BpfObject[] | null, jsonPath: string | null, io: LabIo): Promise<boolean> {
  io.out('running the checks\n');
  const checks = allChecks(before);
  const tell = ({ name, ok }: CheckResult, elapsedMs: number): void =>
    io.out(`  ${ok ? 'ok    ' : 'FAILED'} ${name} (${(elapsedMs / 1000).toFixed(1)} s)\n`);
  const results = await runChecks(mesh, checks, tell, io.interrupted);
  const ok = allPassed(results, checks.length);
  io.out(`\n${resultTable(results)}\n`);
  if (jsonPath !== null) await writeResults(jsonPath, ok, results);
  return ok;
}

async function visit(mesh: Bookshop, io: LabIo): Promise<boolean> {
  tellEndings(mesh.children(), io);
  io.out(thingsToTry(mesh));
  await untilInterrupted(io.interrupted, new Promise<never>(() => {}));
  return true;
}

/** What a visitor of the interactive demo is shown; every command can be pasted into another root shell. */
export function thingsToTry(mesh: Bookshop): string {
  const { plan, paths, insidePath: inside } = mesh;
  const wire = wireOf(plan);
  const near = mesh.app('echo-near').address[4];
  return `
The bookshop is open: storefront, details, reviews v1 and the waypoint on alpha; reviews v2, v3 and ratings on beta.
In another root shell (inside NAME COMMAND… runs a command as if it were that app):

Ask the shop
  ${inside} shopper curl -s 'http://storefront/?book=7'
See the route at work: nine of ten answers from v1, one from v2; testers get v3
  for i in $(seq 20); do ${inside} shopper curl -s http://reviews/reviews | grep '"version"'; done | sort | uniq -c
  ${inside} shopper curl -s -H 'x-tester: red' http://reviews/reviews
Be refused: a method by the waypoint, a service account by the kernel
  ${inside} shopper curl -si -X DELETE http://reviews/reviews
  ${inside} stranger curl -sv telnet://echo-near:7
Open a connection to the other node and leave it open (type something, it comes back)
  ${inside} shopper curl -sN telnet://echo-far:7
Watch the link between the nodes meanwhile: nothing but TLS
  ${inNetns(wire.netns, ['tcpdump', '-i', wire.device, '-n', '-A', 'tcp']).join(' ')}
Change who may do what while that connection is open: write shopper in place of stranger, save, see it closed
  \${EDITOR:-vi} ${mesh.configDir}/40-access.yaml
Change the weights of the route
  \${EDITOR:-vi} ${mesh.configDir}/20-reviews-route.yaml
Come from outside the mesh: let in where PERMISSIVE, refused where STRICT
  ${inside} outside curl -sv --max-time 2 telnet://${near}:${ECHO_PORT}
  ${inside} outside curl -sv --max-time 2 http://${mesh.app('ratings').address[4]}:9080/ratings
Ask the mesh how it is
  ${weft('status', '--run-dir', paths.meshRunDir).join(' ')}

Logs: ${plan.logDir}
Ctrl-C removes everything.
`;
}
