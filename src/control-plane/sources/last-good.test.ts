import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { formatOrigin } from '#control-plane/resources/finding.ts';
import { nameOfResource, type Resource } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { UnreadFiles } from './directory/config-files.ts';
import { directorySource, type WatchFiles } from './directory/directory-source.ts';
import { LastGoodVersions } from './last-good.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

type Files = Record<string, string>;

/** A control plane's source over `files`, on a state directory that outlives it. */
async function started(store: MemoryStore, files: Files, unread: UnreadFiles = new Map()) {
  const lastGood = new LastGoodVersions(store, SILENT_LOG, { clock: new SteppedClock(), random: UNSPREAD });
  const inForce = new Map<string, Resource>();
  let tell: (files: Files, unread?: UnreadFiles) => void = () => {};
  const watch: WatchFiles = async ({ onFiles }) => {
    const known = new Map<string, string | null>();
    tell = (now, troubles = new Map()) => {
      for (const name of known.keys()) known.set(name, null);
      for (const [name, text] of Object.entries(now)) known.set(name, text);
      onFiles(new Map(known), troubles);
    };
    tell(files, unread);
    return { close() {} };
  };
  const source = directorySource({ clock: new SteppedClock(), parser, watch, lastGood });
  await source.start({
    change({ upserted, removed }) {
      for (const name of removed) inForce.delete(name);
      for (const resource of upserted) inForce.set(nameOfResource(resource), resource);
    },
    trouble: (problem) => assert.fail(problem),
  });
  return {
    source,
    tell,
    get: (name: string) => inForce.get(name) as Record<string, unknown> | undefined,
    names: () => [...inForce.keys()].sort(),
    /** How many rules the policy in force has: the good version has one, a stand-in none. */
    rules: () => (inForce.get(P) as { rules?: readonly unknown[] } | undefined)?.rules?.length,
    stop: () => source.stop(),
    settled: () => lastGood.settled(),
  };
}

const policy = (name: string, spec: string, head = '') =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name}, namespace: shop${head} }\nspec: ${spec}\n`;
const GOOD = policy('p', '{ selector: { matchLabels: { app: cart } }, rules: [{ to: [{ operation: { ports: ["80"] } }] }] }');
const BROKEN = policy('p', '{ selector: { matchLabels: { app: cart } }, rules: [{ to: [{ operation: { ports: ["x"] } }] }] }');
const P = 'AuthorizationPolicy shop/p';

/** Starts with `first`, stops, and starts again with `second`. */
async function restarted(first: Files, second: Files, unread: UnreadFiles = new Map()) {
  const store = new MemoryStore();
  await (await started(store, first)).stop();
  return { store, ...(await started(store, second, unread)) };
}

test('config-api 3.10: a policy that became invalid over a restart keeps its last good version, and the finding says so', async () => {
  const { rules, source } = await restarted({ 'a.yaml': GOOD }, { 'a.yaml': BROKEN });
  assert.equal(rules(), 1);
  assert.match(source.findings()[0]?.message ?? '', /the last good version stays in force$/);
});

test('it is kept for the owner alone, and through two restarts', async () => {
  const { store, stop } = await restarted({ 'a.yaml': GOOD }, { 'a.yaml': BROKEN });
  await stop();
  assert.deepEqual([...store.secrets].length, 1);
  const { rules } = await started(store, { 'a.yaml': BROKEN });
  assert.equal(rules(), 1);
});

test('a policy whose file was deleted while nobody looked is gone, and nothing of it is kept', async () => {
  const { names, store, stop } = await restarted({ 'a.yaml': GOOD }, {});
  await stop();
  assert.deepEqual([names(), [...store.texts.keys()]], [[], []]);
});

test('a document that was deleted from a file while nobody looked is gone', async () => {
  const { names } = await restarted({ 'a.yaml': `${GOOD}---\n${policy('q', '{}')}` }, { 'a.yaml': policy('q', '{}') });
  assert.deepEqual(names(), ['AuthorizationPolicy shop/q']);
});

test('moved to another file and broken while nobody looked, the last good version stays', async () => {
  const { rules } = await restarted({ 'a.yaml': GOOD }, { 'b.yaml': BROKEN });
  assert.equal(rules(), 1);
});

test('a file with a mistake in its YAML keeps what it held, and so does one that cannot be read or is too large', async () => {
  for (const [second, unread] of [
    [{ 'a.yaml': 'kind: [\n' }, new Map()],
    [{}, new Map([['a.yaml', { why: 'EACCES', outline: '' }]])],
    [{}, new Map([['a.yaml', { why: 'it is larger', outline: 'kind: AuthorizationPolicy\nnamespace: shop' }]])],
  ] as [Files, UnreadFiles][]) {
    const { rules, names, source } = await restarted({ 'a.yaml': GOOD }, second, unread);
    assert.deepEqual([names(), rules()], [[P], 1]);
    assert.deepEqual(
      source.findings().map(({ severity, origin }) => `${severity} ${formatOrigin(origin).slice(0, 7)}`),
      ['error a.yaml:'],
    );
  }
});

test('below a folder that cannot be read everything stays; once it can, what is missing there is gone', async () => {
  const unread: UnreadFiles = new Map([['sub', { why: 'EIO', outline: '' }]]);
  const { names, tell, source } = await restarted({ 'sub/a.yaml': GOOD, 'sub/b.yaml': policy('q', '{}') }, {}, unread);
  assert.deepEqual(names(), [P, 'AuthorizationPolicy shop/q']);
  assert.ok(source.findings().every(({ code }) => code === 'WEFT_FILE_UNREADABLE'));
  tell({ 'sub/b.yaml': policy('q', '{}') });
  assert.deepEqual([names(), source.findings()], [['AuthorizationPolicy shop/q'], []]);
});

test('a file that is too large and was never read closes the namespaces of the policies it names', async () => {
  const outline = 'kind: AuthorizationPolicy\nnamespace: shop\n---\nkind: PeerAuthentication\n---\nkind: Service\nnamespace: x';
  const { names, get, source } = await started(new MemoryStore(), {}, new Map([['a.yaml', { why: 'it is larger', outline }]]));
  assert.equal(names().length, 2);
  const [policyName = '', peers = ''] = names();
  assert.match(policyName, /^AuthorizationPolicy shop\/unreadable-a\.yaml/);
  assert.deepEqual([get(policyName)?.action, get(policyName)?.rules, get(policyName)?.selector], ['ALLOW', [], null]);
  assert.match(peers, /^PeerAuthentication default\//);
  assert.match(
    source.findings()[0]?.message ?? '',
    /until it is mended nothing is allowed to all workloads of namespace shop .*, and plain text is refused by/,
  );
});

test('a file that said nothing when it was small, as one that is being written does, closes them as well', async () => {
  const outline = 'kind: AuthorizationPolicy\nnamespace: shop';
  const { names, tell } = await started(new MemoryStore(), { 'a.yaml': '# of whom\n' });
  tell({ 'a.yaml': '# of whom\n' }, new Map([['a.yaml', { why: 'it is larger', outline }]]));
  assert.match(names().join(), /^AuthorizationPolicy shop\/unreadable-a\.yaml/);
});

test('what is mended replaces its stand-in, and what breaks again keeps the mended version', async () => {
  const { tell, get, rules } = await started(new MemoryStore(), { 'a.yaml': BROKEN });
  assert.deepEqual(get(P)?.rules, []);
  tell({ 'a.yaml': GOOD });
  tell({ 'a.yaml': BROKEN });
  assert.equal(rules(), 1);
  tell({});
  assert.equal(get(P), undefined);
});

test('a stand-in is never kept as a good version, and follows what can be read of its document', async () => {
  const store = new MemoryStore();
  const { get, tell, stop } = await started(store, { 'a.yaml': BROKEN });
  tell({ 'a.yaml': BROKEN.replace('cart', 'till') });
  assert.deepEqual(get(P)?.selector, { app: 'till' });
  await stop();
  assert.deepEqual([...store.texts.keys()], []);
});

test('a document that cannot be identified is taken for the one of its kind that the file held', async () => {
  const { tell, names } = await started(new MemoryStore(), { 'a.yaml': GOOD });
  tell({ 'a.yaml': `${GOOD}  bad: [\n` });
  assert.deepEqual(names(), [P]);
});

test('a kept version that cannot be understood is told and left out', async () => {
  const store = new MemoryStore();
  await (await started(store, { 'a.yaml': GOOD })).stop();
  for (const name of store.texts.keys()) store.texts.set(name, '{');
  const { get } = await started(store, { 'a.yaml': BROKEN });
  assert.deepEqual(get(P)?.rules, [], 'then its stand-in');
});

test('a store that cannot be written is told, and told no more once it can', async () => {
  const store = new MemoryStore();
  const { write } = store;
  store.write = async () => {
    throw new Error('no space');
  };
  const { source, tell, settled } = await started(store, { 'a.yaml': GOOD });
  await settled();
  assert.deepEqual(source.problems(), ['the last good version of a.yaml is not kept: no space']);
  store.write = write;
  tell({ 'a.yaml': `${GOOD}---\n${policy('q', '{}')}` });
  await settled();
  assert.deepEqual([source.problems(), store.texts.size], [[], 1]);
});

test('C71: who does not lead keeps nothing, and all that is still to be kept once it does', async () => {
  const store = new MemoryStore();
  const { source, tell, settled } = await started(store, {});
  source.lead?.(false);
  tell({ 'a.yaml': GOOD });
  await settled();
  assert.equal(store.texts.size, 0);
  source.lead?.(true);
  await settled();
  assert.equal(store.texts.size, 1);
});

test('K85: what could not be kept is kept when the store is back, although nothing changes: the last state of each unit', async () => {
  const store = new MemoryStore();
  const write = store.write.bind(store);
  const clock = new SteppedClock();
  const lastGood = new LastGoodVersions(store, SILENT_LOG, { clock, random: UNSPREAD });
  store.write = async () => {
    throw new Error('the API server is not reached');
  };
  lastGood.keep('a', [{ of: 'a' }]);
  lastGood.keep('b', [{ of: 'b' }]);
  await lastGood.settled();
  assert.equal(lastGood.problems().length, 2);
  assert.equal(clock.pendingMs().length, 1); // one timer for all of them
  store.write = write;
  lastGood.keep('b', [{ of: 'b, later' }]); // takes those along that wait
  await lastGood.settled();
  assert.deepEqual(lastGood.problems(), []);
  assert.deepEqual([...(await new LastGoodVersions(store, SILENT_LOG, { clock, random: UNSPREAD }).load())].sort(), [
    ['a', [{ of: 'a' }]],
    ['b', [{ of: 'b, later' }]],
  ]);
  store.write = async () => {
    throw new Error('the API server is not reached');
  };
  lastGood.keep('c', [{ of: 'c' }]);
  await lastGood.settled();
  store.write = write;
  clock.advance(2 * CONTROL.keepAgainFirstMs);
  await lastGood.settled();
  assert.deepEqual(lastGood.problems(), []);
  assert.deepEqual(clock.pendingMs(), []);
});
