import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MeasuredControl } from './control.ts';
import { measureEdits } from './edits.ts';
import { NOTING } from './fleet-messages.ts';
import { Fleet } from './fleet-process.ts';
import { editPolicy, editWorkload, type MeshSize, writeMesh } from './mesh.ts';
import type { ScaleRow } from './rows.ts';

/** By how much the large mesh is larger. */
const TIMES = 10;
const EDITED = { 'workload-edit': editWorkload, 'policy-edit': editPolicy };

/** What an edit costs in the mesh that `rows` are of, over what it costs in one of a tenth. */
export async function measureGrowth(rows: readonly ScaleRow[], size: MeshSize, port: number): Promise<ScaleRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-scale-'));
  const mesh = join(dir, 'mesh');
  const small = { workloads: size.workloads / TIMES, services: size.services / TIMES, policies: size.policies / TIMES };
  await writeMesh(mesh, small);
  for (const edit of Object.values(EDITED)) await edit(mesh, 1);
  const control = new MeasuredControl(dir, port);
  const fleet = new Fleet();
  try {
    await control.ready();
    await control.kept();
    const clients = [{ node: NOTING, token: await control.token(NOTING, '172.16.0.0/28') }];
    fleet.tell({ kind: 'follow', knowing: false, address: control.address, rootsPem: await control.rootsPem(), clients });
    await fleet.reports('synced', clients.length);
    const grown: ScaleRow[] = [];
    for (const [what, edit] of Object.entries(EDITED)) {
      const id = `scale.${what}`;
      const measured = await measureEdits({ id, edit, watchers: 1, cpuBound: null, control, fleet, mesh });
      const cpuIn = (all: readonly ScaleRow[]) => all.find((row) => row.id === `${id}.cpu`)?.value ?? Number.NaN;
      grown.push({ id: `${id}.growth`, value: cpuIn(rows) / cpuIn(measured), unit: '×', bound: 1.2 });
    }
    return grown;
  } finally {
    fleet.stop();
    await control.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
