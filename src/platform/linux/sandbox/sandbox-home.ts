import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import {
  askCgroup,
  createNodeCgroup,
  freezeCgroup,
  isPopulated,
  killCgroup,
  processesIn,
  staysPopulated,
  thawCgroup,
} from '#platform/linux/cgroup/cgroup.ts';
import { removeWithTwins } from '#platform/linux/cgroup/limits.ts';
import { type AddressPool, addressesOf, freeHost, hostOf, parsePool } from '#platform/linux/net/address-pool.ts';
import { killInNetns, processesInNetns } from '#platform/linux/process/processes.ts';
import { createSerial } from '#platform/linux/process/waiting.ts';
import { ipv6Usable } from './bridge.ts';
import {
  type NodeSetup,
  openWays,
  type Place,
  placeOf,
  readNodeRecord,
  samePlace,
  setUpNode,
  tearDownNode,
  unprepared,
  unremoved,
} from './node-network.ts';
import { createRecords, type Records, resolvConf, type SandboxRecord } from './records.ts';
import type { NodeReadiness, Sandbox, SandboxesOptions } from './sandbox.ts';
import { fileNameOf, hostVethOf, linkOf, netnsNameOf, type SandboxKey } from './sandbox-name.ts';
import { isNamespace, isWired, listNetnsOf, netnsPathOf, unwire, unwireNetns, wire } from './wiring.ts';

/** The state behind `createSandboxes`, which says what each method promises. */
export class SandboxHome {
  readonly #options: SandboxesOptions;
  readonly #records: Records;
  readonly #setup: NodeSetup;
  readonly #serial = createSerial();
  /** Null until the node is prepared. */
  #pool: AddressPool | null = null;
  /** What could not be had: for good, and as the routes were at the last look. */
  #degraded: { lasting: readonly string[]; ways: readonly string[] } = { lasting: [], ways: [] };

  constructor(options: SandboxesOptions) {
    const { node, bridge, cgroupRoot, uplinks, egressNat } = options;
    this.#options = options;
    this.#records = createRecords(options.runDir);
    this.#setup = { node, bridge, cgroupRoot, uplinks, natExcluded: egressNat?.excluded ?? null };
  }

  #cgroupPathOf(key: SandboxKey): string {
    return join(this.#workloadsPath, fileNameOf(key));
  }

  get #workloadsPath(): string {
    return join(this.#options.cgroupRoot, 'workloads');
  }

  // One task at a time per key: 'node' for the whole, a name for each sandbox, 'addresses' for what they share.
  prepare(): Promise<NodeReadiness> {
    return this.#serial('node', async () => {
      const { node, pool4, pool6, log } = this.#options;
      const ipv6 = pool6 !== null && (await ipv6Usable());
      const configured = parsePool(pool4, pool6);
      // A machine without IPv6 still runs workloads; that it is missing is told, not fatal.
      const pool = { ...configured, pool6: ipv6 ? configured.pool6 : null };
      const place = placeOf(this.#options.bridge, configured);
      await this.#requireSamePlace(place);
      const { ways, problems } = await setUpNode(this.#setup, pool, place, this.#records);
      this.#pool = pool;
      // Only now: what is left of an earlier run may hold addresses of the pool.
      await this.#clearDebris();
      const noIpv6 = pool6 !== null && !ipv6 ? ['IPv6 is turned off on this machine: workloads have IPv4 only'] : [];
      this.#degraded = { lasting: [...noIpv6, ...problems], ways };
      for (const problem of this.degraded) log.warn({ node }, problem);
      return { ipv6, degraded: this.degraded };
    });
  }

  get degraded(): readonly string[] {
    return [...this.#degraded.lasting, ...this.#degraded.ways];
  }

  routesChanged(): Promise<void> {
    return this.#serial('node', async () => {
      if (this.#pool === null) return;
      const ways = await openWays(this.#setup, this.#pool, await readNodeRecord(this.#records), this.#records);
      const { node, log } = this.#options;
      for (const problem of ways.filter((one) => !this.#degraded.ways.includes(one))) log.warn({ node }, problem);
      this.#degraded = { ...this.#degraded, ways };
    });
  }

  async create(key: SandboxKey): Promise<Sandbox> {
    return this.#oneByOne(key, async () => {
      const pool = this.#pool;
      if (pool === null) throw unprepared();
      const known = await this.#records.read(key);
      // Asked for again, as after a crash of whoever asked: the same sandbox, with what lives in it.
      if (known !== null && (await this.#isIntact(known))) return this.#sandboxOf(known);
      if (await staysPopulated(this.#cgroupPathOf(key))) throw await this.#busy(key, 'is damaged, and cannot be made anew while');
      // The record is written before anything is made: a crash in between leaves a name to clear away, never a nameless rest.
      const record = await this.#serial('addresses', () => this.#reserve(key, pool));
      try {
        await unwire(record); // what is there is of no use
        await this.#make(record, pool);
        return this.#sandboxOf(record);
      } catch (error) {
        const { log } = this.#options;
        await this.#demolish(record).catch((cause: unknown) => log.error({ ...key, cause }, 'a sandbox could not be taken back'));
        throw error;
      }
    });
  }

  /** `key` null: all of them, and those to come, whatever each is told by itself. */
  async hold(key: SandboxKey | null): Promise<void> {
    await freezeCgroup(key === null ? this.#workloadsPath : this.#cgroupPathOf(key));
  }

  async release(key: SandboxKey | null): Promise<void> {
    await thawCgroup(key === null ? this.#workloadsPath : this.#cgroupPathOf(key));
  }

  /** Asked, then held: what is launched into it from then on must not run a moment, and is killed with the rest when it is removed. */
  async end(key: SandboxKey, graceMs: number): Promise<void> {
    return this.#oneByOne(key, async () => {
      await askCgroup(this.#cgroupPathOf(key), graceMs);
      await this.hold(key);
      await killCgroup(this.#cgroupPathOf(key));
      await this.#killStrays(((await this.#records.read(key)) ?? this.#nameless(key)).netnsName);
    });
  }

  async remove(key: SandboxKey, killProcesses: boolean): Promise<void> {
    return this.#oneByOne(key, async () => {
      const cgroupPath = this.#cgroupPathOf(key);
      if (killProcesses) await killCgroup(cgroupPath);
      else if (await staysPopulated(cgroupPath)) throw await this.#busy(key, 'cannot be removed while');
      await this.#demolish((await this.#records.read(key)) ?? this.#nameless(key));
    });
  }

  async list(): Promise<readonly Sandbox[]> {
    const ready = (await this.#records.readAll()).filter(({ state }) => state === 'ready');
    // A reboot keeps the records and takes the namespaces.
    const alive = await Promise.all(ready.map(({ netnsName }) => isNamespace(netnsName)));
    return ready.filter((_, at) => alive[at]).map((record) => this.#sandboxOf(record));
  }

  async isEmpty(key: SandboxKey): Promise<boolean> {
    return !(await isPopulated(this.#cgroupPathOf(key)));
  }

  removeNode(graceMs: number): Promise<void> {
    return this.#serial('node', async () => {
      const { node } = this.#options;
      this.#pool = null; // from now on nothing new is made
      const failures: unknown[] = [];
      const attempt = async (step: () => Promise<void>): Promise<void> =>
        step().catch((error: unknown) => void failures.push(error));
      // Each step is tried whatever became of the others: what can go shall go.
      await attempt(async () => void (await askCgroup(this.#workloadsPath, graceMs)));
      await attempt(async () => void (await freezeCgroup(this.#workloadsPath)));
      await attempt(() => killCgroup(this.#workloadsPath));
      for (const netnsName of await listNetnsOf(node)) await attempt(() => this.#killStrays(netnsName));
      for (const record of await this.#records.readAll())
        await attempt(() => this.#oneByOne(record, () => this.#demolish(record)));
      for (const netnsName of await listNetnsOf(node)) await attempt(() => unwireNetns(netnsName));
      await attempt(() => removeWithTwins(this.#workloadsPath));
      // What is known of the node is needed until everything else is gone.
      if (failures.length === 0) failures.push(...(await tearDownNode(this.#setup, this.#records)));
      if (failures.length > 0) throw unremoved(node, failures);
    });
  }

  async #requireSamePlace(place: Place): Promise<void> {
    const record = await readNodeRecord(this.#records);
    if (record.bridge === '' || samePlace(record, place)) return;
    const [first] = await this.list();
    if (first === undefined) return;
    throw new WeftError(
      'WEFT_SANDBOX_POOL',
      `bridge or pools changed while workload ${first.namespace}/${first.name} uses the old ones`,
      {
        remedy: `stop the node's workloads first, or go back to bridge ${record.bridge}, ${record.pool4} and ${record.pool6 ?? 'no IPv6'}`,
      },
    );
  }

  /** Removes what an earlier process left half made, or what a reboot took the ground from. */
  async #clearDebris(): Promise<void> {
    const listed = await listNetnsOf(this.#options.node);
    const records = await this.#records.readAll(); // after: a namespace is made only when its record is written
    const recorded = new Set(records.map(({ netnsName }) => netnsName));
    for (const netnsName of listed) if (!recorded.has(netnsName)) await unwireNetns(netnsName);
    for (const { namespace, name } of records)
      await this.#oneByOne({ namespace, name }, () => this.#clearIfDamaged({ namespace, name }));
  }

  async #clearIfDamaged(key: SandboxKey): Promise<void> {
    const { log } = this.#options;
    const record = await this.#records.read(key);
    if (record === null || (await this.#isIntact(record))) return;
    if (await staysPopulated(this.#cgroupPathOf(key))) {
      log.warn(key, 'a sandbox with living processes is damaged: stop them and start the workload again');
      return;
    }
    log.info(key, 'removing a sandbox that an earlier run left incomplete');
    await this.#demolish(record);
  }

  /** Takes addresses that no other sandbox has, and writes them down at once. Runs one at a time. */
  async #reserve(key: SandboxKey, pool: AddressPool): Promise<SandboxRecord> {
    const records = await this.#records.readAll();
    const own = records.find((record) => fileNameOf(record) === fileNameOf(key));
    const hosts = records
      .filter((record) => record !== own)
      .map(({ addresses: [v4] }) => (v4 === undefined ? null : hostOf(pool, v4)));
    // Its former address, so that a workload that is started again is the same to its peers; else the next free one.
    const used = new Set(hosts.filter((host) => host !== null));
    const [former] = own?.addresses ?? [];
    const kept = former === undefined ? null : hostOf(pool, former);
    const host = kept !== null && !used.has(kept) ? kept : freeHost(pool, used, await this.#records.readNextHost());
    const record: SandboxRecord = { ...this.#nameless(key), addresses: addressesOf(pool, host) };
    await this.#records.write(record);
    if (host !== kept) await this.#records.writeNextHost(host + 1);
    return record;
  }

  async #make(record: SandboxRecord, pool: AddressPool): Promise<void> {
    const { bridge, mtuBytes } = this.#options;
    await wire({ record, bridge, pool, mtuBytes });
    await createNodeCgroup(this.#cgroupPathOf(record));
    await this.#records.writeResolvConf(record, resolvConf(record, pool, this.#options));
    // Last: 'ready' says that all of it is there.
    await this.#records.write({ ...record, state: 'ready' });
  }

  /** What left the workload's cgroup, or was started beside it, and still sits in its network namespace. */
  async #killStrays(netnsName: string): Promise<void> {
    const path = netnsPathOf(netnsName);
    if (await killInNetns(path)) return;
    throw new WeftError(
      'WEFT_SANDBOX_BUSY',
      `the network namespace ${netnsName} still has processes: ${processesInNetns(path)}`,
      {
        remedy: 'they do not end, even by SIGKILL: look at what they wait for (state D in ps)',
      },
    );
  }

  /** The record goes last, so that a demolition that was cut off can go on. */
  async #demolish(record: SandboxRecord): Promise<void> {
    await unwire(record);
    await removeWithTwins(this.#cgroupPathOf(record));
    await this.#records.remove(record);
  }

  async #isIntact(record: SandboxRecord): Promise<boolean> {
    if (record.state !== 'ready') return false;
    const paths = [this.#cgroupPathOf(record), this.#records.resolvConfPath(record)];
    const there = await Promise.all(paths.map((path) => stat(path).catch(() => null)));
    return !there.includes(null) && (await isWired(record, this.#options.bridge));
  }

  /** A record without addresses. */
  #nameless(key: SandboxKey): SandboxRecord {
    const { node } = this.#options;
    const { namespace, name } = key;
    return {
      namespace,
      name,
      addresses: [],
      netnsName: netnsNameOf(node, key),
      hostVeth: hostVethOf(node, key),
      state: 'making',
    };
  }

  #sandboxOf({ state: _, ...record }: SandboxRecord): Sandbox {
    const { netnsName, hostVeth } = record;
    const [cgroupPath, resolvConfPath] = [this.#cgroupPathOf(record), this.#records.resolvConfPath(record)];
    return { ...record, netnsPath: netnsPathOf(netnsName), cgroupPath, resolvConfPath, link: linkOf(hostVeth) };
  }

  async #oneByOne<T>(key: SandboxKey, task: () => Promise<T>): Promise<T> {
    return this.#serial(`sandbox ${fileNameOf(key)}`, task);
  }

  async #busy(key: SandboxKey, problem: string): Promise<WeftError> {
    const pids = (await processesIn(this.#cgroupPathOf(key))).slice(0, 10).join(', ');
    const message = `the sandbox of ${key.namespace}/${key.name} ${problem} processes live in it: ${pids}`;
    return new WeftError('WEFT_SANDBOX_BUSY', message, { remedy: 'stop the workload first' });
  }
}
