import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { controlStatus } from '#testbed/lab/parts.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { LOAD_PORT, meshWay, NAMESPACE, type Rig, rigUp } from '../rig/rig.ts';
import { editOfStorm, writeMesh } from './mesh.ts';
import { quantile, type ScaleRow } from './rows.ts';
import { STORM_FILES, writeStorm } from './storm.ts';

/** Of each of two agents, beside which a control plane and the load run: less than the control plane alone is measured with. */
const SIZE = { workloads: 10_000, services: 1_000, policies: 1_000 };
/** They hold for the namespace of whom is knocked at, and name nobody who is there. */
const NAMESPACE_WIDE = 1_000;
const EDITS = 30;
/** Files edited a second meanwhile, and the bound for a policy then. */
const STORMS = [
  { id: 'scale.kernel.policy-storm-200', perSecond: 200, bound: 50 },
  { id: 'scale.kernel.policy-storm', perSecond: 1_000, bound: 150 },
];
const PATIENCE_MS = 60_000;

/** What a workload that connects all the time has seen last. */
type Seen = { isOpen: boolean; atMs: number };

/** How long a policy that is edited takes until a connection is refused, or no longer is: alone, and while files are edited by the hundred each second. */
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
  await writeFile(
    join(mesh, 'namespace-wide.yaml'),
    Array.from({ length: NAMESPACE_WIDE }, (_, at) => wideDocument(at)).join('---\n'),
  );
  for (let index = 0; index < STORM_FILES; index++) editOfStorm(mesh, index, 1);
  const seen = await knocking(rig);
  const turn = (isOpen: boolean) => turned(mesh, seen, isOpen);
  // Policies pass what else there is of a mesh that arrives: without all of it they would be told of too much.
  await waitUntil('all of the mesh', PATIENCE_MS, async () => {
    const { addresses, policies } = (await controlStatus(rig.plan)).resources;
    return addresses >= SIZE.workloads + SIZE.services + STORM_FILES && policies > SIZE.policies + NAMESPACE_WIDE;
  });
  await turn(false);
  await turn(true);
  const alone: number[] = [];
  for (let at = 0; at < EDITS; at++) alone.push(await turn(at % 2 === 1));
  const rows = rowsOf('scale.kernel.policy', alone, 50);
  for (const { id, perSecond, bound } of STORMS) rows.push(...rowsOf(id, await duringStorm(mesh, perSecond, turn), bound));
  return rows;
}

async function duringStorm(mesh: string, perSecond: number, turn: (isOpen: boolean) => Promise<number>): Promise<number[]> {
  const took: number[] = [];
  let isOver = false;
  const storm = writeStorm(mesh, perSecond).finally(() => {
    isOver = true;
  });
  for (let at = 0; !isOver; at++) took.push(await turn(at % 2 === 1));
  await storm;
  if (took.length % 2 === 1) await turn(true); // it ends where it began
  return took;
}

function rowsOf(id: string, took: readonly number[], bound: number): ScaleRow[] {
  return [
    { id: `${id}.p50`, value: quantile(took, 0.5), unit: 'ms', bound: null },
    { id: `${id}.p99`, value: quantile(took, 0.99), unit: 'ms', bound },
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

function wideDocument(index: number): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: wide-${index}, namespace: ${NAMESPACE} }
spec:
  action: DENY
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/${NAMESPACE}/sa/nobody-${index}"] } }] }]
`;
}
