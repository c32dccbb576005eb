import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { Authenticator, Caller, TokenIssuer } from '#control-plane/authentication/authenticator.ts';
import { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import { KeptState, type PieceStore } from '#control-plane/kept/kept-state.ts';
import { CRD_FILES, KINDS, MESH } from '#control-plane/kinds/list.ts';
import { AddressPools } from '#control-plane/registry/address-pools.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { directorySource } from '#control-plane/sources/directory/directory-source.ts';
import { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl, WAYPOINT_CONFIG_TYPE } from '#protocol/xds/type-urls.ts';
import { ControlPlane } from './control-plane.ts';
import { KeptAllocations } from './kept-allocations.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const mesh = DEFAULT_MESH_OPTIONS;
const GRANT: NodeGrant = { identities: ['*/*'], addresses: ['0.0.0.0/0', '::/0'], waypoints: true };

function agentOf(node: string): Caller {
  const origin = { ip: `10.9.0.${node.length}`, instance: node };
  return { namespace: mesh.rootNamespace, serviceAccount: 'weft-agent', node, grant: GRANT, untilMs: null, origin };
}

const nobodysTokens: Authenticator & TokenIssuer = {
  authenticate: () => assert.fail('nobody shows a token here'),
  revoke: async () => {},
  mint: async () => 'token',
};

/** One life of a control plane, as its disk sees it: killed at a write, which is then done or not, and nothing after it. */
class Life {
  readonly #ended = Promise.withResolvers<void>();
  /** Writes that are still done; the one after them is the last. */
  #left = Number.POSITIVE_INFINITY;
  #isLastDone = false;

  /** Resolves at its end. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** It ends at the write after so many others. */
  endAfter(writes: number, isLastDone: boolean): void {
    this.#left = writes;
    this.#isLastDone = isLastDone;
  }

  async write(act: () => void): Promise<void> {
    if (this.#left-- > 0) return act();
    if (this.#left === -1 && this.#isLastDone) act();
    this.#ended.resolve();
    await new Promise(() => {}); // who was killed hears of nothing
  }
}

/** The state of a disk, for one life. */
class StateOfLife extends MemoryStore {
  readonly #disk: MemoryStore;
  readonly #life: Life;

  constructor(disk: MemoryStore, life: Life) {
    super();
    this.#disk = disk;
    this.#life = life;
  }

  override read(name: string): Promise<string | null> {
    return this.#disk.read(name);
  }

  override list(prefix: string): Promise<string[]> {
    return this.#disk.list(prefix);
  }

  override write(name: string, text: string, options: { secret: boolean }): Promise<void> {
    return this.#life.write(() => void this.#disk.write(name, text, options));
  }

  override remove(name: string): Promise<void> {
    return this.#life.write(() => void this.#disk.remove(name));
  }
}

/** What outlives a control plane: its files, and its state directory. */
class Disk {
  readonly files = new Map<string, string>();
  readonly state = new MemoryStore();
  readonly pieces = new Map<string, Buffer>();
  list: string | null = null;
  /** What a source made of its content is not found before this resolves: until then nothing is derived. */
  gate: Promise<void> = Promise.resolve();
  #named = 0;

  store(life = new Life()): PieceStore {
    return {
      readList: async () => this.list,
      read: async (id) => {
        const bytes = this.pieces.get(id) ?? assert.fail(`there is no ${id}`);
        if (!bytes.includes('framed')) await this.gate;
        return bytes;
      },
      write: async (piece) => {
        const id = `piece-${this.#named++}`;
        await life.write(() => void this.pieces.set(id, piece));
        return id;
      },
      writeList: async (list, kept) => {
        await life.write(() => {
          this.list = list;
        });
        for (const id of this.pieces.keys()) if (!kept.includes(id)) await life.write(() => void this.pieces.delete(id));
      },
    };
  }
}

const clockOfAuthority = new SteppedClock();
const authority = await CertificateAuthority.open({
  store: new MemoryStore(),
  given: null,
  trustDomain: mesh.trustDomain,
  clock: clockOfAuthority,
  log: SILENT_LOG,
});

/** A control plane on a disk; quick: as after a restart with what is kept. */
async function startOn(disk: Disk, quick = true) {
  const clock = new SteppedClock();
  const life = new Life();
  const [log, state] = [SILENT_LOG, new StateOfLife(disk.state, life)];
  let tell: (changed: ReadonlyMap<string, string | null>) => void = () => {};
  const source = directorySource({
    parser,
    clock,
    lastGood: new LastGoodVersions(state, log, { clock, random: UNSPREAD }),
    async watch(listener) {
      tell = (changed) => listener.onFiles(changed);
      tell(new Map(disk.files));
      return { close() {} };
    },
  });
  const allocations = new KeptAllocations(state, log, { clock, random: UNSPREAD });
  const kept = new KeptState({ store: disk.store(life), build: 'this', from: 0, clock, log });
  const control = new ControlPlane({
    kept: quick ? kept : null,
    pools: await AddressPools.open(new MemoryStore()),
    index: new MeshIndex({ options: mesh, definitions: MESH, allocations: await allocations.load() }),
    source,
    mesh,
    state,
    allocations,
    authority,
    authenticator: nobodysTokens,
    tokens: nobodysTokens,
    runner: null,
    clock,
    log,
    meters: new Meters('control'),
    newNonce: () => 'n',
  });
  await control.begin();
  const edit = async (name: string, text: string | null): Promise<void> => {
    if (text === null) disk.files.delete(name);
    else disk.files.set(name, text);
    tell(new Map([[name, text]]));
    await control.settled();
  };
  const problems = () =>
    control.status({ pid: 1, version: '', startedAt: '', address: '', trustDomain: '', rootNamespace: '' }).outOfDate;
  return { control, clock, kept, edit, problems, life };
}

type Running = Awaited<ReturnType<typeof startOn>>;

/** Everything that is served, by type and name. */
function served({ control, clock }: Running): Map<string, string> {
  const found = new Map<string, string>();
  const caller = { ...agentOf('observer'), node: null };
  const listener = control.discover(caller, {
    peer: '',
    send(parts) {
      const { typeUrl, resources } = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
      for (const { name, version } of resources) found.set(`${typeUrl} ${name}`, version);
      return true;
    },
    end: (error) => assert.fail(error.message),
  });
  const node = { id: `ztunnel~10.0.0.1~a.${mesh.rootNamespace}~x`, metadata: { NAMESPACE: mesh.rootNamespace } };
  const types: TypeUrl[] = [ADDRESS_TYPE, AUTHORIZATION_TYPE, WAYPOINT_CONFIG_TYPE];
  for (const typeUrl of types) listener.receive(create(DeltaDiscoveryRequestSchema, { node, typeUrl }));
  clock.advance(1);
  listener.closed();
  return new Map([...found].sort());
}

const service = (name: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop }\nspec: { selector: { app: ${name} }, ports: [{ port: 80 }] }\n`;
const deny = (name: string, port: number) =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: shop }\n` +
  `spec: { action: DENY, rules: [{ to: [{ operation: { ports: ["${port}"] } }] }] }\n`;
const broken = (name: string) => deny(name, 80).replace('DENY', 'DENNY');

/** Keeps what is in force as a quiet while would. */
async function quiet({ clock, control, kept }: Running): Promise<void> {
  await control.settled();
  clock.advance(CONTROL.keepStateAfterMs);
  await kept.settled();
}

function register({ control }: Running, node: string, addresses: readonly string[]) {
  const workloads = addresses.map((ip) => ({
    name: `w-${ip.replaceAll('.', '-')}`,
    namespace: 'shop',
    serviceAccount: 'a',
    labels: { app: 'a' },
    addresses: [ip],
    enrolled: true,
  }));
  return control.syncWorkloads(agentOf(node), create(SyncWorkloadsRequestSchema, { node, workloads }));
}

/** Whether a promise is settled once everything else that can be done is. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

/** A disk on which a service, a policy and a registered workload were in force for a while. */
async function lived(): Promise<{ disk: Disk; before: Map<string, string> }> {
  const disk = new Disk();
  disk.files.set('a.yaml', service('a')).set('p.yaml', deny('p', 80));
  const first = await startOn(disk);
  await register(first, 'one', ['10.1.0.1']);
  await quiet(first);
  return { disk, before: served(first) };
}

function shut(disk: Disk): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  disk.gate = promise;
  return resolve;
}

test('C54: what was in force is served before it is derived again, and then nobody is told anything', async () => {
  const { disk, before } = await lived();
  const open = shut(disk);
  const again = await startOn(disk);
  assert.deepEqual(served(again), before);
  assert.equal(await isSettled(again.control.begun), false);
  const certificate = register(again, 'two', ['10.1.0.2']);
  assert.equal(await isSettled(certificate), false, 'who registers waits');
  open();
  await certificate;
  assert.equal(served(again).size, before.size + 1);
});

const CHANGES: Record<string, (disk: Disk) => void> = {
  'a stricter policy': (disk) => disk.files.set('p.yaml', deny('p', 443)),
  'one more policy': (disk) => disk.files.set('q.yaml', deny('q', 443)),
  'a policy that is gone': (disk) => disk.files.delete('p.yaml'),
  'a file that was renamed': (disk) => disk.files.set('z.yaml', disk.files.get('p.yaml') ?? '').delete('p.yaml'),
  'what a node registered': (disk) => disk.state.texts.delete('registry/one.json'),
};
for (const [what, change] of Object.entries(CHANGES)) {
  test(`C54: ${what} changed while nobody looked: nothing of before is served until all of it is in force`, async () => {
    const { disk, before } = await lived();
    change(disk);
    const open = shut(disk);
    const starting = startOn(disk);
    assert.equal(await isSettled(starting), false);
    open();
    const again = await starting;
    const now = served(again);
    assert.deepEqual(now, served(await startOn(disk, false)));
    if (what !== 'a file that was renamed') assert.notDeepEqual(now, before);
  });
}

test('C54: what stands in for an invalid policy has changed since: nothing of before is served until it is in force', async () => {
  const disk = new Disk();
  disk.files.set('a.yaml', broken('p'));
  const running = await startOn(disk);
  await quiet(running);
  await running.edit('b.yaml', deny('p', 443));
  await running.edit('b.yaml', null);
  running.life.endAfter(0, false);
  const again = await startOn(disk);
  const atOnce = served(again);
  await again.control.begun;
  assert.deepEqual(atOnce, served(again));
});

const DAMAGES: Record<string, (disk: Disk) => void> = {
  'the list': (disk) => {
    disk.list = '{';
  },
  'a piece that is no longer there': (disk) => void disk.pieces.delete([...disk.pieces.keys()][0] ?? ''),
  'the last piece': (disk) => void disk.pieces.delete([...disk.pieces.keys()].at(-1) ?? ''),
  'what it says': (disk) => void disk.pieces.set([...disk.pieces.keys()][0] ?? '', Buffer.from('nonsense')),
};
for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`damaged: ${what}. It is told, and everything is derived anew`, async () => {
    const { disk, before } = await lived();
    damage(disk);
    const again = await startOn(disk);
    await again.control.begun;
    assert.deepEqual(served(again), before);
    assert.match(again.problems().join(), /kept for a quick start is damaged/);
    await again.edit('b.yaml', service('b'));
    await quiet(again);
    assert.doesNotMatch((await startOn(disk)).problems().join(), /damaged/);
  });
}

type Step =
  | { kind: 'edit'; name: string; text: string | null }
  | { kind: 'register'; node: string; addresses: string[] }
  | { kind: 'quiet' | 'restart' }
  /** It is killed at the write after so many others; until it comes again, files change and nobody looks. */
  | { kind: 'kill'; writes: number; isDone: boolean }
  | { kind: 'damage'; at: number };

const anyText = fc.constantFrom<(string | null)[]>(
  service('a'),
  service('b'),
  deny('p', 80),
  deny('p', 443),
  broken('p'),
  '',
  null,
);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('edit' as const),
      name: fc.constantFrom('a.yaml', 'b.yaml', 'c.yaml'),
      text: anyText,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('register' as const),
      node: fc.constantFrom('n', 'no'),
      addresses: fc.subarray(['10.1.0.1', '10.1.0.2']),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom<('quiet' | 'restart')[]>('quiet', 'restart') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('damage' as const), at: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const), writes: fc.nat(6), isDone: fc.boolean() }) },
);

test('any order of changes, quiet times, damages and crashes: what is served is what a start from nothing serves', async () => {
  const property = async (steps: readonly Step[]): Promise<void> => {
    const disk = new Disk();
    let running = await startOn(disk);
    let isDead = false;
    const restart = async (): Promise<void> => {
      // No stop: what waited to be kept is lost, as in a crash.
      running.life.endAfter(0, false);
      running = await startOn(disk);
      isDead = false;
      const atOnce = served(running);
      await running.control.begun;
      assert.deepEqual(atOnce, served(running));
    };
    /** Until it is done, or whoever does it is killed. */
    const whileAlive = async (act: Promise<unknown>): Promise<void> => {
      const { ended } = running.life;
      isDead = (await Promise.race([act.then(() => false), ended.then(() => true)])) === true;
    };
    for (const step of steps) {
      if (step.kind === 'edit' && isDead) {
        if (step.text === null) disk.files.delete(step.name);
        else disk.files.set(step.name, step.text);
      } else if (step.kind === 'damage') disk.pieces.delete([...disk.pieces.keys()][step.at] ?? '');
      else if (step.kind === 'restart') await restart();
      else if (isDead) continue;
      else if (step.kind === 'kill') running.life.endAfter(step.writes, step.isDone);
      else if (step.kind === 'edit') await whileAlive(running.edit(step.name, step.text));
      else if (step.kind === 'register') await whileAlive(register(running, step.node, step.addresses));
      else await whileAlive(quiet(running));
    }
    if (isDead) await restart();
    await running.control.begun;
    running.life.endAfter(0, false);
    assert.deepEqual(served(running), served(await startOn(disk, false)));
  };
  await fc.assert(fc.asyncProperty(fc.array(anyStep, { minLength: 4, maxLength: 16 }), property), { numRuns: 150 });
});
