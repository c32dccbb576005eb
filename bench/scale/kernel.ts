import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitUntil } from '#testbed/processes/wait.ts';
import { LOAD_PORT, meshWay, NAMESPACE, type Rig, rigUp } from '../rig/rig.ts';
import { editOfStorm, writeMesh } from './mesh.ts';
import { quantile, type ScaleRow } from './rows.ts';
import { STORM_FILES, writeStorm } from './storm.ts';

/** Of each of two agents, beside which a control plane and the load run: less than the control plane alone is measured with. */
const SIZE = { workloads: 10_000, services: 1_000, policies: 1_000 };
const EDITS = 30;
const PER_SECOND = 1_000;
const PATIENCE_MS = 60_000;

/** What a workload that connects all the time has seen last. */
type Seen = { isOpen: boolean; atMs: number };

/** How long a policy that is edited takes until a connection is refused, or no longer is: alone, and while 1,000 files are edited a second. */
export async function kernelRows(): Promise<ScaleRow[]> {
  const rig = await rigUp();
  let failed = true;
  try {
    const rows = await measureIn(rig);
    failed = false;
    return rows;
  } finally {
    await rig.down(failed);
  }
}

async function measureIn(rig: Rig): Promise<ScaleRow[]> {
  const mesh = rig.lab.configDir;
  await setPort(mesh, LOAD_PORT + 1);
  await writeMesh(mesh, SIZE);
  for (let index = 0; index < STORM_FILES; index++) editOfStorm(mesh, index, 1);
  const seen = await knocking(rig);
  const turn = (isOpen: boolean) => turned(mesh, seen, isOpen);
  // Until all of the mesh has arrived.
  await turn(false);
  await turn(true);
  const alone: number[] = [];
  for (let at = 0; at < EDITS; at++) alone.push(await turn(at % 2 === 1));
  const stormy: number[] = [];
  let isOver = false;
  const storm = writeStorm(mesh, PER_SECOND).finally(() => {
    isOver = true;
  });
  for (let at = 0; !isOver; at++) stormy.push(await turn(at % 2 === 1));
  await storm;
  return [...rowsOf('scale.kernel.policy', alone), ...rowsOf('scale.kernel.policy-storm', stormy)];
}

function rowsOf(id: string, took: readonly number[]): ScaleRow[] {
  return [
    { id: `${id}.p50`, value: quantile(took, 0.5), unit: 'ms', bound: null },
    { id: `${id}.p99`, value: quantile(took, 0.99), unit: 'ms', bound: 150 },
  ];
}

/** The way to a server on the same node, which the kernel opens and closes by itself. */
async function knocking(rig: Rig): Promise<{ last: Seen | null }> {
  const way = await meshWay(rig, 'near');
  const seen: { last: Seen | null } = { last: null };
  const line = way.atClient([process.execPath, join(import.meta.dirname, 'knock.ts'), way.host, way.port]);
  const child = rig.spawn({ name: 'knock', command: line, logPath: join(rig.plan.logDir, 'knock.log') });
  child.onLine((text) => {
    seen.last = JSON.parse(text);
  });
  await waitUntil('a connection that is let in', PATIENCE_MS, async () => seen.last?.isOpen === true);
  return seen;
}

/** Edits the policy, and returns how long it took until that was seen. */
async function turned(mesh: string, seen: { last: Seen | null }, isOpen: boolean): Promise<number> {
  const beganMs = Date.now();
  await setPort(mesh, isOpen ? LOAD_PORT + 1 : LOAD_PORT);
  await waitUntil('a policy in the kernel', PATIENCE_MS, async () => seen.last?.isOpen === isOpen);
  return (seen.last?.atMs ?? Number.NaN) - beganMs;
}

/** The policy denies whoever dials that port. */
async function setPort(mesh: string, port: number): Promise<void> {
  await writeFile(
    join(mesh, 'knocked.yaml'),
    `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: knocked, namespace: ${NAMESPACE} }
spec:
  selector: { matchLabels: { app: near } }
  action: DENY
  rules: [{ to: [{ operation: { ports: ["${port}"] } }] }]
`,
  );
}
