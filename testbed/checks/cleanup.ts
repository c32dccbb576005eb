import { readdir } from 'node:fs/promises';
import { cgroupTree } from '#testbed/nodes/cgroups.ts';
import { leftoversOf, nodesDown } from '#testbed/nodes/nodes.ts';
import { type LabPlan, plannedNamespaces } from '#testbed/nodes/plan.ts';
import { type BpfObject, pinsIn } from '#testbed/observers/bpf-objects.ts';
import { leftOf, recordOwnThings } from '#testbed/observers/own-things.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, expect } from './check.ts';

/** The kernel frees programs and namespaces a moment after their last user is gone. */
const FREED_WITHIN_MS = 8_000;

/**
 * Uninstalling leaves nothing of the mesh, and removing the nodes then nothing of the lab. Must be the last check.
 * `before`: the eBPF objects there were before anything was made; null when bpftool is not installed.
 */
export function cleanup(before: readonly BpfObject[] | null): Check {
  return {
    name: 'cleanup',
    path: '-',
    timeoutMs: 90_000,
    async run(mesh) {
      const { plan, paths } = mesh;
      const known = new Set((before ?? []).map(({ key }) => key));
      const own = await recordOwnThings(plan);
      const pins = await pinsIn(plan.bpffsMount);
      expect(
        pins.length > 0 && own.cgroups.size > 0,
        'the mesh has no pins or no cgroups, so nothing can be shown to be removed',
      );
      const said = await mesh.leave();
      expect(said.code === 0, `weft uninstall failed: ${said.stderr.trim() || said.stdout.trim()}`);
      await expectNothing('weft uninstall', async () => withoutFabric(plan, await leftOf(plan, own, known)));
      await expectNothing('weft uninstall', () => filesLeft(plan, paths.stateDir));
      await nodesDown(plan, true);
      await expectNothing('the lab', async () => [...(await leftOf(plan, own, known)), ...(await leftoversOf(plan))]);
      const bpf =
        before === null ? `${pins.length} pins (bpftool is not installed)` : `${own.bpf.size} eBPF objects, ${pins.length} pins`;
      return `gone: ${bpf}, ${own.namespaces.size} namespaces, ${own.cgroups.size} cgroups, and every process`;
    },
  };
}

/** The fabric still stands then, and is none of the mesh's. */
function withoutFabric(plan: LabPlan, left: readonly string[]): string[] {
  const nodes = plan.nodes.map(({ cgroup }) => cgroup);
  const cgroups = [plan.hostCgroup, ...nodes].map((path) => `cgroup ${path}`);
  const fabric = new Set([...plannedNamespaces(plan).map((netns) => `namespace ${netns}`), ...cgroups]);
  return left.filter((thing) => !fabric.has(thing));
}

/** Pins, state and cgroups of workloads. */
async function filesLeft(plan: LabPlan, stateDir: string): Promise<string[]> {
  const state = await readdir(stateDir).catch(() => []);
  const trees = await Promise.all(plan.nodes.map(({ cgroup }) => cgroupTree(cgroup)));
  return [
    ...(await pinsIn(plan.bpffsMount)).map((pin) => `pin ${pin}`),
    ...state.map((file) => `state file ${file}`),
    ...trees.flatMap((tree) => tree.slice(1)).map((path) => `cgroup ${path}`),
  ];
}

async function expectNothing(who: string, look: () => Promise<string[]>): Promise<void> {
  let left: string[] = [];
  await waitUntil(`end of what ${who} left`, FREED_WITHIN_MS, async () => {
    left = await look();
    return left.length === 0;
  }).catch(() => {});
  expect(left.length === 0, `${who} left ${left.length} things: ${left.slice(0, 5).join('; ')}`);
}
