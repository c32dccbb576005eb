import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { ConfigFiles, type FileChanges, type WantedDocument } from './config-files.ts';
import { FileIntake } from './file-intake.ts';
import { readDocument } from './resource-file.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function workload(name: string, weight: number): string {
  return `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: ${name} }\nspec: { address: 10.0.0.1, weight: ${weight} }\n`;
}

function policy(name: string, port: number): string {
  return `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name} }\nspec: { action: DENY, rules: [{ to: [{ operation: { ports: ["${port}"] } }] }] }\n`;
}

/** More than is read at once. */
const padded = (text: string) => `# ${'-'.repeat(RESOURCE.readAtOnceCharactersMax)}\n${text}`;

/** An intake with the files of `first` in force; `answer` lets what is read elsewhere be there. */
async function intakeWith(first: Record<string, string>, options: { elsewhere: boolean }) {
  const clock = new SteppedClock();
  const files = new ConfigFiles(parser);
  /** Names of each change, a minus before those that are gone. */
  const told: string[][] = [];
  const inForce = new Set<ResourceName>();
  const troubles: Error[] = [];
  const answers: (() => void)[] = [];
  const read = (wanted: readonly WantedDocument[]) => wanted.map((raw) => readDocument(raw.file, raw, parser));
  const readElsewhere = (wanted: readonly WantedDocument[]) =>
    new Promise<ReturnType<typeof read>>((resolve) => answers.push(() => resolve(read(wanted))));
  const intake = new FileIntake({
    ...{ files, clock },
    ...(options.elsewhere ? { readElsewhere } : {}),
    looked() {},
    changed({ upserted, removed }) {
      for (const name of removed) inForce.delete(name);
      for (const resource of upserted) inForce.add(nameOfResource(resource));
      told.push([...upserted.map(({ metadata }) => metadata.name), ...removed.map((name) => `-${name}`)]);
    },
    trouble: (problem) => void troubles.push(problem),
  });
  const tell = (changed: Record<string, string | null> | FileChanges) =>
    intake.tell(changed instanceof Map ? changed : new Map(Object.entries(changed)), new Map());
  /** One step. */
  const turn = async () => {
    clock.advance(0);
    await tick();
  };
  const answer = async () => {
    for (const one of answers.splice(0)) one();
    await tick();
  };
  const settle = async () => {
    while (!intake.isIdle) {
      await answer();
      await turn();
    }
  };
  tell(first);
  await settle();
  told.length = 0;
  return { intake, files, told, inForce, troubles, tell, turn, answer, settle };
}

const STORM = 5_000;
const storm = (weight: number) =>
  Object.fromEntries(Array.from({ length: STORM }, (_, at) => [`w${at}.yaml`, workload(`w${at}`, weight)]));

test('S4: while 5,000 workloads are read and taken, a policy is in force before the most of them, and a file that is gone too', async () => {
  const first = { ...storm(1), 'policy.yaml': policy('p', 1), 'gone.yaml': workload('lost', 1) };
  const { told, tell, turn, answer, settle } = await intakeWith(first, { elsewhere: true });
  tell(storm(2));
  tell({ 'policy.yaml': policy('p', 2) });
  await turn();
  assert.deepEqual(told, [['p']], 'while they are read elsewhere');
  await answer();
  await turn();
  tell({ 'policy.yaml': policy('p', 3), 'gone.yaml': null });
  await settle();
  const at = told.findIndex((names) => names.includes('-WorkloadEntry default/lost'));
  assert.deepEqual(told[at], ['p', '-WorkloadEntry default/lost'], 'between two slices');
  const before = told.slice(0, at).flat().length;
  assert.ok(before < STORM / 10, `${before} of ${STORM} workloads came first`);
  assert.equal(told.flat().filter((name) => name.startsWith('w')).length, STORM);
});

test('S4: told together with much else, a policy is in force first', async () => {
  const { told, tell, turn, settle } = await intakeWith({ 'p.yaml': policy('p', 1) }, { elsewhere: false });
  tell({ 'a.yaml': padded(workload('a', 1)), 'p.yaml': policy('p', 2), 'new.yaml': policy('q', 1) });
  await turn();
  await settle();
  assert.deepEqual(told, [['q', 'p'], ['a']]);
});

test('what was told of a file before never replaces what was told later', async () => {
  const { told, files, tell, turn, settle } = await intakeWith({ 'a.yaml': workload('alone-1', 1) }, { elsewhere: true });
  tell({ 'a.yaml': padded(workload('alone-1', 2)), 'b.yaml': workload('b', 1) });
  tell({ 'a.yaml': policy('deny', 1) });
  await turn();
  await settle();
  // It drops what nothing else says: the text of its own that is still being read does not count.
  assert.deepEqual(told, [['deny', '-WorkloadEntry default/alone-1'], ['b']]);
  const names = files.ledger.resources().map(nameOfResource);
  assert.deepEqual(names.sort(), ['AuthorizationPolicy default/deny', 'WorkloadEntry default/b']);
});

test('what moves from a file that restricts something to one that waits is never gone', async () => {
  const { told, tell, turn, settle } = await intakeWith(
    { 'p.yaml': `${policy('p', 1)}---\n${workload('a', 1)}` },
    { elsewhere: true },
  );
  tell({ 'a.yaml': padded(workload('a', 1)) });
  tell({ 'p.yaml': policy('p', 1) });
  await turn();
  await settle();
  assert.deepEqual(told.flat(), []);
});

test('a mistake of ours over one change is told, and that is tried again with the next', async () => {
  const { told, files, troubles, tell, turn, settle } = await intakeWith({ 'a.yaml': workload('a', 1) }, { elsewhere: false });
  const { preparing } = files;
  files.preparing = () => {
    throw new Error('oops');
  };
  tell({ 'a.yaml': workload('a', 2) });
  files.preparing = preparing;
  tell({ 'b.yaml': workload('b', 1) });
  await turn();
  await settle();
  assert.deepEqual([told, troubles.length], [[['a', 'b']], 1]);
});

/** Which resources each file says, each with a version. */
const anyDirectory = fc.dictionary(
  fc.constantFrom('a', 'b', 'c', 'd'),
  fc.record({
    padded: fc.boolean(),
    workloads: fc.dictionary(fc.constantFrom('w-1', 'w-2', 'w-3'), fc.integer({ min: 1, max: 2 }), { noNullPrototype: true }),
    policies: fc.dictionary(fc.constantFrom('p-1', 'p-2'), fc.integer({ min: 1, max: 2 }), { noNullPrototype: true }),
  }),
  { noNullPrototype: true },
);
type Directory = typeof anyDirectory extends fc.Arbitrary<infer One> ? One : never;

function textsOf(directory: Directory): Map<string, string> {
  return new Map(
    Object.entries(directory).map(([path, file]) => {
      const documents = [
        ...Object.entries(file.workloads).map(([name, version]) => workload(name, version)),
        ...Object.entries(file.policies).map(([name, version]) => policy(name, version)),
      ];
      const text = documents.join('---\n');
      return [path, file.padded ? padded(text) : text];
    }),
  );
}

test('after any history what is in force is what the files say, and what they never ceased to say was never gone', async () => {
  const step = fc.record({ directory: anyDirectory, turns: fc.nat(2), answers: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(anyDirectory, fc.array(step, { minLength: 1, maxLength: 5 }), async (first, steps) => {
      const { files, told, inForce, tell, turn, answer, settle } = await intakeWith(Object.fromEntries(textsOf(first)), {
        elsewhere: true,
      });
      const always = new Set(inForce);
      let before = textsOf(first);
      for (const { directory, turns, answers } of steps) {
        const texts = textsOf(directory);
        const gone = [...before.keys()].filter((path) => !texts.has(path)).map((path): [string, null] => [path, null]);
        tell(new Map([...[...texts].filter(([path, text]) => before.get(path) !== text), ...gone]));
        before = texts;
        const said = new ConfigFiles(parser);
        said.apply(texts);
        const names = new Set(said.ledger.resources().map(nameOfResource));
        for (const name of always) if (!names.has(name)) always.delete(name);
        if (answers) await answer();
        for (let at = 0; at < turns; at++) await turn();
      }
      await settle();
      const whole = new ConfigFiles(parser);
      whole.apply(before);
      const sorted = (one: ConfigFiles) =>
        one.ledger.resources().sort((a, b) => (nameOfResource(a) < nameOfResource(b) ? -1 : 1));
      assert.deepEqual(sorted(files), sorted(whole));
      assert.deepEqual(files.findings(), whole.findings());
      assert.deepEqual([...inForce].sort(), sorted(whole).map(nameOfResource));
      for (const name of told.flat()) assert.ok(!always.has(name.slice(1) as ResourceName), `${name} was gone between`);
    }),
    { numRuns: 100 },
  );
});
