import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';
import { formatOrigin, warningAt } from '#control-plane/resources/finding.ts';
import { nameOf, nameOfResource, type Resource } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { atOnce } from '#model/effects/work.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { ConfigFiles } from './config-files.ts';
import { directorySource } from './directory-source.ts';
import { joined, readDocument, readResourceFile } from './resource-file.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** A valid document; `port` tells its versions apart. */
function service(name: string, port: number): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { selector: { app: a }, ports: [{ port: ${port} }] }\n`;
}

/** The same resource, invalid but still recognisable. */
const invalid = (name: string) => service(name, 0);
const SYNTAX = 'kind: [\n';
const stream = (...documents: string[]) => documents.join('---\n');

/** `name:port` of every service in force. */
function outline(resources: readonly Resource[]): string {
  const ports = resources.map(
    (one) => `${one.metadata.name}:${one.kind === 'Service' ? (one as ServiceResource).ports[0]?.port : ''}`,
  );
  return ports.sort().join(' ');
}

type Files = Record<string, string>;
const histories: { name: string; snapshots: Files[]; want: string }[] = [
  { name: 'valid documents are in force', snapshots: [{ a: stream(service('x', 1), service('y', 2)) }], want: 'x:1 y:2' },
  { name: 'a changed document replaces the old one', snapshots: [{ a: service('x', 1) }, { a: service('x', 2) }], want: 'x:2' },
  { name: 'a document that was never valid provides nothing', snapshots: [{ a: invalid('x') }], want: '' },
  {
    name: 'an invalid document keeps its last good version',
    snapshots: [{ a: service('x', 1) }, { a: invalid('x') }],
    want: 'x:1',
  },
  {
    name: 'it stays through further invalid versions and changes of its neighbours',
    snapshots: [{ a: service('x', 1) }, { a: invalid('x') }, { a: stream(service('y', 3), invalid('x')) }],
    want: 'x:1 y:3',
  },
  {
    name: 'a mended document is in force again',
    snapshots: [{ a: service('x', 1) }, { a: invalid('x') }, { a: service('x', 4) }],
    want: 'x:4',
  },
  {
    name: 'a deleted document is removed',
    snapshots: [{ a: stream(service('x', 1), service('y', 2)) }, { a: service('y', 2) }],
    want: 'y:2',
  },
  {
    name: 'a deleted file removes what it provided',
    snapshots: [{ a: service('x', 1), b: service('y', 2) }, { b: service('y', 2) }],
    want: 'y:2',
  },
  {
    name: 'a deleted invalid document is removed too',
    snapshots: [
      { a: stream(service('x', 1), service('y', 2)) },
      { a: stream(invalid('x'), service('y', 2)) },
      { a: service('y', 2) },
    ],
    want: 'y:2',
  },
  { name: 'a syntax error keeps what the document said', snapshots: [{ a: service('x', 1) }, { a: SYNTAX }], want: 'x:1' },
  {
    name: 'a syntax error in one document does not stop the others from changing',
    snapshots: [
      { a: stream(service('x', 1), service('y', 2), service('z', 3)) },
      { a: stream(service('x', 7), SYNTAX, service('z', 8)) },
    ],
    want: 'x:7 y:2 z:8',
  },
  {
    name: 'a marker that was lost merges two documents: both stay',
    snapshots: [{ a: stream(service('x', 1), service('y', 2)) }, { a: service('x', 1) + service('y', 2) }],
    want: 'x:1 y:2',
  },
  {
    name: 'nothing of a file is removed while a document in it cannot be told',
    snapshots: [{ a: stream(service('x', 1), service('y', 2)) }, { a: SYNTAX }, { a: service('x', 5) }],
    want: 'x:5',
  },
  {
    name: 'a kind misspelt is taken for the resource that is missing',
    snapshots: [{ a: service('x', 1) }, { a: service('x', 1).replace('Service', 'Servce') }],
    want: 'x:1',
  },
  {
    name: 'a document without a name is taken for the resource that is missing',
    snapshots: [{ a: service('x', 1) }, { a: service('x', 1).replace('name: x', '') }],
    want: 'x:1',
  },
  { name: 'a renamed document removes the old name', snapshots: [{ a: service('x', 1) }, { a: service('y', 1) }], want: 'y:1' },
  {
    name: 'moved to another file and broken on the way, the last version stays',
    snapshots: [{ a: service('x', 1) }, { a: '', b: invalid('x') }, { a: '', b: stream(invalid('x'), service('y', 2)) }],
    want: 'x:1 y:2',
  },
  {
    name: 'a good version elsewhere beats what a broken file kept',
    snapshots: [{ a: service('x', 1) }, { a: SYNTAX, b: service('x', 2) }],
    want: 'x:2',
  },
  { name: 'of two documents the first by path counts', snapshots: [{ b: service('x', 2), a: service('x', 1) }], want: 'x:1' },
  { name: 'of two in one file the first counts', snapshots: [{ a: stream(service('x', 1), service('x', 2)) }], want: 'x:1' },
  {
    name: 'the second steps in when the first is deleted',
    snapshots: [{ a: service('x', 1), b: service('x', 2) }, { b: service('x', 2) }],
    want: 'x:2',
  },
  {
    name: 'the first, invalid and without a past, leaves it to the second',
    snapshots: [{ a: invalid('x'), b: service('x', 2) }],
    want: 'x:2',
  },
  {
    name: 'the first, invalid with a past, keeps its last version',
    snapshots: [
      { a: service('x', 1), b: service('x', 2) },
      { a: invalid('x'), b: service('x', 2) },
    ],
    want: 'x:1',
  },
];

for (const { name, snapshots, want } of histories) {
  test(name, () => {
    const files = new ConfigFiles(parser);
    for (const snapshot of snapshots) files.apply(new Map(Object.entries(snapshot)));
    assert.equal(outline(files.ledger.resources()), want);
  });
}

test('only resources that really changed are told', () => {
  const files = new ConfigFiles(parser);
  files.apply(new Map([['a', stream(service('x', 1), service('y', 2))]]));
  const moved = files.apply(new Map([['a', stream(service('y', 2), '# a comment\n', service('x', 1))]]));
  assert.deepEqual([moved.upserted, moved.removed], [[], []]);
  const changed = files.apply(new Map([['a', service('x', 3)]]));
  assert.deepEqual([outline(changed.upserted), changed.removed], ['x:3', ['Service default/y']]);
});

test('an invalid document says whether its last good version is in force', () => {
  const files = new ConfigFiles(parser);
  files.apply(new Map([['a', invalid('x')]]));
  const [fresh] = files.findings();
  assert.doesNotMatch(fresh?.message ?? '', /stays in force/);
  files.apply(new Map([['a', service('x', 1)]]));
  files.apply(new Map([['a', invalid('x')]]));
  const [kept] = files.findings();
  assert.match(kept?.message ?? '', /the last good version stays in force/);
});

test('a duplicate names both places', () => {
  const files = new ConfigFiles(parser);
  files.apply(
    new Map([
      ['b.yaml', `# later\n${service('x', 2)}`],
      ['a.yaml', stream(service('y', 1), service('x', 1))],
    ]),
  );
  assert.deepEqual(
    files.findings().map(({ code, severity, origin, resource, message }) => ({
      code,
      severity,
      at: formatOrigin(origin),
      resource,
      message,
    })),
    [
      {
        code: 'WEFT_RESOURCE_DUPLICATE',
        severity: 'error',
        at: 'b.yaml:2:1',
        resource: 'Service default/x',
        message: 'already described at a.yaml:6; the document here is ignored',
      },
    ],
  );
});

test('problems found later get their place in the file', () => {
  const files = new ConfigFiles(parser);
  files.apply(
    new Map([
      ['a', service('x', 1)],
      ['b', stream(service('w', 1), service('y', 2))],
    ]),
  );
  const problem = warningAt('WEFT_ADDRESS_CONFLICT', ['spec', 'ports', 0, 'port'], 'odd', 'mend');
  const elsewhere = nameOf({ kind: 'Workload', namespace: 'shop', name: 'x' });
  const y = nameOf({ kind: 'Service', namespace: 'default', name: 'y' });
  const findings = files.locate(
    new Map([
      [y, [problem]],
      [elsewhere, [problem]],
    ]),
  );
  assert.deepEqual(
    findings.map(({ origin, resource }) => `${formatOrigin(origin)} of ${resource}`),
    ['Workload shop/x spec.ports[0].port of Workload shop/x', 'b:9:47 of Service default/y'],
  );
});

test('after any history the changes told add up to the resources in force', () => {
  const document = fc.oneof(
    fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.integer({ min: 0, max: 2 })).map(([name, port]) => service(name, port)),
    fc.constantFrom(SYNTAX, 'kind: Deployment\napiVersion: apps/v1\n', ''),
  );
  const file = fc.array(document, { maxLength: 4 }).map((documents) => stream(...documents));
  const snapshot = fc.dictionary(fc.constantFrom('a', 'b'), file);
  fc.assert(
    fc.property(fc.array(snapshot, { maxLength: 6 }), (snapshots) => {
      const files = new ConfigFiles(parser);
      const told = new Map<string, Resource>();
      for (const snapshot of snapshots) {
        const { upserted, removed } = files.apply(new Map(Object.entries(snapshot)));
        for (const name of removed) assert.ok(told.delete(name), `${name} was removed but never told`);
        for (const resource of upserted) told.set(nameOfResource(resource), resource);
      }
      assert.equal(outline([...told.values()]), outline(files.ledger.resources()));
    }),
    { numRuns: 60 },
  );
});

/** A directory whose documents are read elsewhere, when the test says so. */
async function readElsewhere(first: Files) {
  const asked: { names: string[]; answer(): void; fail(): void }[] = [];
  const told: string[] = [];
  let onFiles: (changed: ReadonlyMap<string, string | null>) => void = () => {};
  const clock = new SteppedClock();
  const source = directorySource({
    clock,
    parser,
    lastGood: new LastGoodVersions(new MemoryStore(), SILENT_LOG, { clock: new SteppedClock(), random: UNSPREAD }),
    async watch(listener) {
      onFiles = (changed) => listener.onFiles(changed);
      onFiles(new Map(Object.entries(first)));
      return { close() {} };
    },
    readElsewhere: (wanted) =>
      new Promise((resolve, reject) =>
        asked.push({
          names: wanted.map(({ file, line }) => `${file}:${line}`),
          answer: () => resolve(wanted.map((raw) => readDocument(raw.file, raw, parser))),
          fail: () => reject(new Error('it ended')),
        }),
      ),
  });
  const problems: string[] = [];
  const started = source.start({
    change: ({ upserted, removed }) => void told.push([outline(upserted), ...removed].join(' -').trim()),
    trouble: ({ message }) => void problems.push(message),
  });
  return {
    started,
    asked,
    told,
    problems,
    /** Lets the next step be done, each of which has a turn of its own. */
    turn: () => clock.advance(0),
    tell: (changed: Record<string, string | null>) => onFiles(new Map(Object.entries(changed))),
  };
}

const LONG = `# ${'x'.repeat(RESOURCE.readAtOnceCharactersMax)}\n`;

test('S4: much text is read elsewhere; what is told meanwhile comes after it, in one step', async () => {
  const { started, asked, told, tell, turn } = await readElsewhere({ a: stream(service('x', 1), LONG + service('y', 1)) });
  await tick();
  tell({ b: service('z', 1) });
  tell({ b: service('z', 2), a: service('y', 1) });
  assert.deepEqual([told, asked[0]?.names], [[], ['a:1', 'a:5']]);
  asked[0]?.answer();
  await started;
  turn();
  await tick();
  assert.deepEqual([told, asked.length], [['x:1 y:1', 'z:2 -Service default/x'], 1]);
});

test('S4: when the other thread fails it is read here, and that is told', async () => {
  const { started, asked, told, problems } = await readElsewhere({ a: LONG + service('x', 1) });
  await tick();
  asked[0]?.fail();
  await started;
  assert.deepEqual([told, problems.length], [['x:1'], 1]);
});

test('S5: of a file that changed the documents are read that are others, wherever the rest moved to', () => {
  const files = new ConfigFiles(parser);
  const odd = service('odd', 5).replace('ports:', 'oddity: 1, ports:');
  const all = [service('x', 1), odd, invalid('bad'), service('y', 2)];
  files.apply(new Map([['a', stream(...all)]]));
  const batch = atOnce(
    files.preparing(new Map([['a', stream(service('x', 1), `# a comment\n${service('new', 1)}`, ...all.slice(1))]])),
  );
  // What was rejected is named after its place.
  assert.deepEqual(
    batch.wanted.map(({ text }) => /name: (\w+)/.exec(text)?.[1]),
    ['new', 'bad'],
  );
  atOnce(files.taking(atOnce(files.saying(batch, files.read(batch.wanted)))));
  const whole = new ConfigFiles(parser);
  whole.apply(new Map([['a', stream(service('x', 1), `# a comment\n${service('new', 1)}`, ...all.slice(1))]]));
  assert.deepEqual(files.findings(), whole.findings());
  assert.equal(outline(files.ledger.resources()), 'new:1 odd:5 x:1 y:2');
});

test('S5: after any history the files say what they would say if they were read for the first time', () => {
  const document = fc.oneof(
    fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.integer({ min: 0, max: 2 })).map(([name, port]) => service(name, port)),
    fc.constantFrom(SYNTAX, 'kind: Deployment\napiVersion: apps/v1\n', '# nothing\n', service('odd', 1).replace('spec', 'sepc')),
  );
  const file = fc.array(document, { maxLength: 6 }).map((documents) => stream(...documents));
  fc.assert(
    fc.property(fc.array(file, { minLength: 2, maxLength: 6 }), (texts) => {
      const files = new ConfigFiles(parser);
      for (const text of texts) files.apply(new Map([['a', text]]));
      const last = texts.at(-1) ?? '';
      const { entries, findings } = joined(files.documentsOf('a'));
      assert.deepEqual({ entries, findings }, readResourceFile('a', last, parser));
    }),
    { numRuns: 100 },
  );
});
