import { readlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Cidr, formatCidr } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { bootId } from '#platform/files/node-register.ts';
import { createNodeCgroup, missingCgroups, removeCgroup, removeEmptyCgroup } from '#platform/linux/cgroup/cgroup.ts';
import type { AddressPool } from '#platform/linux/net/address-pool.ts';
import { applyChanges, forwardingWishes, planChanges, restoreChanges } from '#platform/linux/net/sysctl.ts';
import { ensureBridge, findUplinks, removeBridge, requireOwnBridge } from './bridge.ts';
import { installEgressNat, removeEgressNat } from './egress-nat.ts';
import type { NodeRecord, Records } from './records.ts';

/** What a node sets up once for all of its sandboxes. */
export type NodeSetup = {
  node: string;
  bridge: string;
  cgroupRoot: string;
  /** Null: those that routes with a gateway use. */
  uplinks: readonly string[] | null;
  /** Null: no address translation. */
  natExcluded: readonly Cidr[] | null;
};

/** Sentences about what could not be had: `ways` as long as the routes are as they are, `problems` for good. */
export type Lacking = { ways: readonly string[]; problems: readonly string[] };

/**
 * Makes or completes the node's part at `place`, with the addresses of `pool`; the sentences name what could not be had, and what is lost by it. Each step is on
 * disk before it is taken, so that after a crash `tearDownNode` knows of it. Errors: those of its steps.
 */
export async function setUpNode(setup: NodeSetup, pool: AddressPool, place: Place, records: Records): Promise<Lacking> {
  const { node, bridge, cgroupRoot } = setup;
  const earlier = await readNodeRecord(records);
  const record = { ...earlier, ...place };
  if (earlier.bridge !== '' && !samePlace(earlier, record)) await removeBridge(node, earlier.bridge, true);
  await requireOwnBridge(node, bridge, earlier.bridge === bridge);
  const cgroups = [...new Set([...record.cgroups, ...sharedParent(cgroupRoot), ...(await missingCgroups(cgroupRoot))])];
  await records.writeNode({ ...record, cgroups });
  await createNodeCgroup(cgroupRoot);
  await ensureBridge(node, bridge, pool);
  const ways = await openWays(setup, pool, { ...record, cgroups }, records);
  const problem = setup.natExcluded === null ? null : await installEgressNat({ node, bridge, pool, excluded: setup.natExcluded });
  return { ways, problems: problem === null ? [] : [problem] };
}

/**
 * Lets packets of workloads pass between the bridge and the interfaces that lead to others, as the routes are now; a restart
 * and the end of the node put back what was before the first time. The sentence says that there are none. Errors: WEFT_SANDBOX_SYSCTL.
 */
export async function openWays(
  setup: NodeSetup,
  pool: AddressPool,
  record: NodeRecord,
  records: Records,
): Promise<readonly string[]> {
  const uplinks = setup.uplinks ?? (await findUplinks(setup.bridge));
  const sysctls = await planChanges(await forwardingWishes([setup.bridge, ...uplinks], pool.pool6 !== null), record.sysctls);
  await records.writeNode({ ...record, sysctls });
  await applyChanges(sysctls);
  return uplinks.length === 0 ? ['no route with a gateway: workloads reach only this node'] : [];
}

/** Undoes `setUpNode`, also one that was cut off; every step is tried, and the failures are given. */
export async function tearDownNode(setup: NodeSetup, records: Records): Promise<readonly unknown[]> {
  const record = await readNodeRecord(records);
  const failures: unknown[] = [];
  const attempt = async (step: () => Promise<void>): Promise<void> => step().catch((error: unknown) => void failures.push(error));
  await attempt(() => removeEgressNat(setup.node));
  await attempt(() => restoreChanges(record.sysctls));
  await attempt(() => removeBridge(setup.node, setup.bridge, record.bridge === setup.bridge));
  if (record.bridge !== '' && record.bridge !== setup.bridge) await attempt(() => removeBridge(setup.node, record.bridge, true));
  for (const cgroup of [...record.cgroups].reverse()) {
    await attempt(() => (cgroup === setup.cgroupRoot ? removeCgroup(cgroup) : removeEmptyCgroup(cgroup)));
  }
  if (failures.length === 0) await attempt(() => records.clear());
  return failures;
}

/** The error of whoever comes before `setUpNode`. */
export function unprepared(): WeftError {
  return new WeftError('WEFT_SANDBOX_NODE', 'the node is not prepared for sandboxes', {
    remedy: 'wait until the agent is ready',
  });
}

/** The error of a node that `tearDownNode` could not take down wholly. */
export function unremoved(node: string, failures: readonly unknown[]): WeftError {
  const what = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))).join('; ');
  const [cause] = failures;
  const remedy = (cause instanceof WeftError ? cause.remedy : undefined) ?? 'try again: what is done stays done';
  return new WeftError('WEFT_SANDBOX_NODE', `node ${node} is not wholly removed: ${what}`, { remedy, cause });
}

/** What is known of the node as it is now: of another boot nothing, of another network namespace only the cgroups. */
export async function readNodeRecord(records: Records): Promise<NodeRecord> {
  const boot = bootId();
  const netns = await readlink('/proc/self/ns/net');
  const blank: NodeRecord = { boot, netns, bridge: '', pool4: '', pool6: null, sysctls: [], cgroups: [] };
  const record = await records.readNode();
  if (record === null || record.boot !== boot) return blank;
  return record.netns === netns ? record : { ...blank, cgroups: record.cgroups };
}

/** Whether sandboxes made for the one fit the other. */
export function samePlace(a: Place, b: Place): boolean {
  return a.bridge === b.bridge && a.pool4 === b.pool4 && a.pool6 === b.pool6;
}

/** As configured: that IPv6 was turned off meanwhile makes it no other place. */
export function placeOf(bridge: string, pool: AddressPool): Place {
  return { bridge, pool4: formatCidr(pool.pool4), pool6: pool.pool6 === null ? null : formatCidr(pool.pool6) };
}

/** The nodes of one machine may have a cgroup `weft` around theirs: whoever made it, the last of them to leave removes it. */
function sharedParent(cgroupRoot: string): readonly string[] {
  return basename(dirname(cgroupRoot)) === 'weft' ? [dirname(cgroupRoot)] : [];
}

/** What sandboxes are bound to from their making on. */
export type Place = Pick<NodeRecord, 'bridge' | 'pool4' | 'pool6'>;
