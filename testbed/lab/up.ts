import { rm, stat, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeError } from '#cli/report-error.ts';
import { formatFinding } from '#cli/status-page.ts';
import { WeftError } from '#model/error.ts';
import { systemClock } from '#platform/clock.ts';
import { labState, leftoversOf, nodesDown } from '#testbed/nodes/nodes.ts';
import { type LabPlan, nodeCount, OUTSIDE_4, planLab } from '#testbed/nodes/plan.ts';
import { Lab } from './lab.ts';
import { type StopSignal, serveLab } from './lab-api.ts';
import { type LabIo, liveThrough, requireLabMachine, tellEndings, untilInterrupted } from './life.ts';
import { controlStatus } from './parts.ts';
import { flagOf, LABS_DIR, labSocket, outsideResolvConf, recordOf, writeRecord } from './record.ts';

/** How often the control plane is asked what is wrong with the resources. */
const FINDINGS_MS = 1_000;

/** What `weft lab up` is told. */
export type UpRequest = { lab: string; directory: string; nodes: number; jsonPath: string | null };

/**
 * Runs a lab over a directory until it is interrupted. Returns the exit code.
 * Errors: WEFT_LAB_DIRECTORY, WEFT_LAB_RUNNING, and those of the preflight; nothing was made then.
 */
export async function labUp({ lab: name, directory, nodes, jsonPath }: UpRequest, io: LabIo): Promise<number> {
  const cgroup2Mount = await requireLabMachine(false);
  await requireDirectory(directory);
  const plan = planLab(name, LABS_DIR, cgroup2Mount, nodes);
  await clearPlace(plan, io);
  const lab = new Lab(plan, resolve(directory));
  const files = jsonPath === null ? [] : [resolve(jsonPath)];
  // One that a killed lab left is not to be taken for this one's.
  for (const file of files) await rm(file, { force: true });
  let endApi = async (): Promise<void> => {};
  try {
    return await liveThrough(lab, io, {
      async open(tell) {
        await lab.start(tell);
        await writeFile(outsideResolvConf(plan), `nameserver ${OUTSIDE_4}\n`);
        tell('waiting for the waypoints');
        // A waypoint that cannot start is for the user to see, in a lab that is up.
        await lab.waypointsReady(io.interrupted).catch((error: unknown) => io.err(describeError(error, false)));
        endApi = await serveLab(labSocket(plan), (part, signal) => restart(lab, part, signal, files, io));
        await writeRecord(await recordOf(lab), plan, ...files);
      },
      async body() {
        tellEndings(lab.children(), io);
        io.out(welcome(lab));
        const stopTelling = tellFindings(plan, io);
        await untilInterrupted(io.interrupted, new Promise<never>(() => {}));
        stopTelling();
        return true;
      },
      wellWithoutBody: true,
    });
  } finally {
    await endApi();
    // A file about a lab that is gone would mislead.
    for (const file of files) await rm(file, { force: true });
  }
}

async function restart(lab: Lab, part: string, signal: StopSignal, files: readonly string[], io: LabIo): Promise<void> {
  const known = new Set(lab.children());
  await lab.restart(part, signal);
  tellEndings(
    lab.children().filter((child) => !known.has(child)),
    io,
  );
  await writeRecord(await recordOf(lab), lab.plan, ...files);
  io.out(`restarted ${part} after ${signal}\n`);
}

/** It comes and goes with each workload, while nobody edits anything: status shows it. */
const IDLE = 'WEFT_MATCHES_NOTHING';

/** Tells what is wrong with the resources, at the start and whenever that changes: who edits looks here. Returns how to end that. */
function tellFindings(plan: LabPlan, io: LabIo): () => void {
  let told = '';
  return systemClock.every(FINDINGS_MS, () => {
    controlStatus(plan).then(
      ({ findings }) => {
        const text = findings
          .filter(({ code }) => code !== IDLE)
          .map(formatFinding)
          .join('');
        if (text !== told) io.err(text === '' ? 'every resource is in force again\n' : text);
        told = text;
      },
      () => {}, // it is being restarted; its end is told by itself
    );
  });
}

async function requireDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => null);
  if (found?.isDirectory() === true) return;
  throw new WeftError('WEFT_LAB_DIRECTORY', `${directory} is ${found === null ? 'not there' : 'no directory'}`, {
    remedy: 'name a directory of YAML resources, such as examples/quickstart/mesh',
  });
}

/** Makes sure that nobody has the name, and removes what a killed lab of that name left. */
async function clearPlace(plan: LabPlan, io: LabIo): Promise<void> {
  const state = await labState(plan);
  if (state === 'alive') {
    throw new WeftError('WEFT_LAB_RUNNING', `lab "${plan.id}" is up already`, {
      remedy: `use it, end it with weft lab down${flagOf(plan.id)}, or choose another name with --lab`,
    });
  }
  if ((await leftoversOf(plan)).length > 0) {
    io.out(`removing what a killed lab of that name left\n`);
    await nodesDown(plan, false);
  }
  await rm(plan.logDir, { recursive: true, force: true });
}

function welcome({ plan, configDir }: Lab): string {
  const flag = flagOf(plan.id);
  const names = plan.nodes.map(({ name }) => name).join(', ');
  const last = plan.nodes.at(-1)?.name ?? 'alpha';
  return `
The lab is up: ${nodeCount(plan)} (${names}) over ${configDir}.
Edit a file there, save it, and it applies. In other terminals, as root:

  weft lab run${flag} --node ${last} --name web --service-account web --label app=web -- python3 -m http.server 8080
  weft lab run${flag} --node alpha --name shell --service-account tester -- bash
  weft lab outside${flag} -- curl -s --max-time 2 http://WORKLOAD-ADDRESS:8080/
  weft lab capture${flag} --out wire.pcap
  weft lab restart${flag} alpha --kill
  weft lab logs${flag} -f alpha
  weft lab status${flag}

Ctrl-C here, or weft lab down${flag}, ends it and removes everything.
`;
}
