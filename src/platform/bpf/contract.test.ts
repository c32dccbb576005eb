import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ENUMS, SCHEMA } from '#model/kernel/abi.ts';
import { breakingChanges, contractDifferences, contractOf, contractText } from './contract.testing.ts';

const ROOT = join(import.meta.dirname, '../../..');
const LAYOUTS = join(ROOT, 'bpf/abi/layouts.txt');
const clang = spawnSync('clang', ['--version']).status === 0;
if (clang) execFileSync(join(ROOT, 'scripts/build-bpf'), { stdio: 'pipe' }); // a header that was just edited counts
const compiled = contractOf(join(ROOT, 'build/bpf'));

test('E30: enums, structs and maps are the same in C and in TypeScript', () => {
  assert.deepEqual(contractDifferences(compiled), []);
  assert.ok(compiled.enums.size >= 8 && compiled.structs.size >= 18 && compiled.maps.size >= 17, 'all of them were compared');
});

test('E30: no struct has implicit padding', () => {
  for (const [name, { size, members }] of compiled.structs) {
    let end = 0;
    for (const member of members) {
      assert.equal(member.offset, end, `${name}.${member.name}`);
      end += member.size;
    }
    assert.equal(end, size, name);
  }
});

/** What of the C side stands in the wrong place, a line for each. */
function misplaced(files: readonly { path: string; text: string }[]): string[] {
  const all = files.map(({ text }) => text).join('\n');
  const found: string[] = [];
  for (const { path, text } of files) {
    for (const [, name] of text.matchAll(/^struct (weft_\w+) \{$/gm)) {
      if (!path.startsWith('abi/')) found.push(`${path}: struct ${name} belongs into abi/`);
      if (!all.includes(`WEFT_SIZE(struct ${name}, `)) found.push(`${path}: nothing asserts the size of struct ${name}`);
    }
    for (const [, name] of text.matchAll(/^\} (\w+) SEC\("\.maps"\);$/gm)) {
      if (!path.startsWith('lib/')) found.push(`${path}: map ${name} belongs into the header of its concept in lib/`);
    }
    if (/^#define WEFT_\w+ \(?\d/m.test(text))
      found.push(`${path}: a number of the contract is a macro, which BTF does not carry`);
  }
  return found;
}

test('structs of the contract lie in abi with their size asserted, maps in the header of their concept', () => {
  const files = globSync('{abi,lib,attach}/*.{h,c}', { cwd: join(ROOT, 'bpf') }).map((path) => ({
    path,
    text: readFileSync(join(ROOT, 'bpf', path), 'utf8'),
  }));
  assert.ok(files.length > 20);
  assert.deepEqual(misplaced(files), []);
});

for (const { path, text, says } of [
  { path: 'abi/new.h', text: 'struct weft_new {\n\t__u32 id;\n};', says: /nothing asserts the size of struct weft_new/ },
  { path: 'lib/new.h', text: 'struct weft_new {\n};\nWEFT_SIZE(struct weft_new, 0);', says: /belongs into abi/ },
  {
    path: 'attach/new.bpf.c',
    text: 'struct {\n} numbers SEC(".maps");',
    says: /map numbers belongs into the header of its concept/,
  },
  { path: 'abi/new.h', text: '#define WEFT_ADDRESS_NEW 8u', says: /is a macro/ },
])
  test(`the test of places sees ${says.source}`, () => {
    const found = misplaced([{ path, text }]);
    assert.equal(found.length, 1);
    assert.match(found[0] ?? '', says);
  });

test('reasons, hooks, flags and counters each have a number of their own', () => {
  for (const [name, values] of Object.entries(ENUMS)) {
    const numbers = Object.values(values);
    assert.equal(new Set(numbers).size, numbers.length, name);
    if (name.endsWith('_flag')) for (const bit of numbers) assert.equal(bit & (bit - 1), 0, `${name} ${bit} is one bit`);
  }
});

test('E30: a layout changes only together with WEFT_SCHEMA', () => {
  const now = contractText(compiled);
  const before = readFileSync(LAYOUTS, 'utf8');
  const changes = before.startsWith(`schema ${SCHEMA}\n`) ? breakingChanges(before, now) : [];
  assert.deepEqual(
    changes,
    [],
    [
      `a running node has pinned maps of schema ${SCHEMA} with another layout (- was, + is):`,
      ...changes,
      'Raise WEFT_SCHEMA in bpf/abi/types.h and SCHEMA in src/model/kernel/abi.ts by one, then write bpf/abi/layouts.txt with',
      'WEFT_GOLDEN=write node --test src/platform/bpf/contract.test.ts and have the difference reviewed.',
    ].join('\n'),
  );
  if (process.env.WEFT_GOLDEN === 'write') writeFileSync(LAYOUTS, now);
  assert.equal(now, readFileSync(LAYOUTS, 'utf8'), 'bpf/abi/layouts.txt lacks what is new; WEFT_GOLDEN=write adds it');
});

test('what may change under one number: new maps, new structs, new enumerators, nothing else', () => {
  const before = 'schema 1\n\nenum a: X = 1\n\nstruct s: 4 bytes\nstruct s: 0 id, 4 bytes, __u32\n\nmap m: hash, 1 entries\n';
  const harmless = before.replace('X = 1\n', 'X = 1\nenum a: Y = 2\n').concat('map n: hash, 2 entries\nstruct t: 1 bytes\n');
  assert.deepEqual(breakingChanges(before, harmless), []);
  for (const [from, to, change] of [
    ['X = 1', 'X = 2', ['- enum a: X = 1']],
    ['1 entries', '2 entries', ['- map m: hash, 1 entries', '+ map m: hash, 2 entries']],
    ['struct s: 4 bytes\n', 'struct s: 4 bytes\nstruct s: 4 more, 4 bytes, __u32\n', ['+ struct s: 4 more, 4 bytes, __u32']],
    ['struct s: 0 id, 4 bytes, __u32\n', '', ['- struct s: 0 id, 4 bytes, __u32']],
  ] as const) {
    assert.deepEqual(breakingChanges(before, before.replace(from, to)), change);
  }
});

/** Edits of one header of bpf/, each of which must be seen although TypeScript stays as it is. */
const PLANTED = [
  ['the schema number', 'abi/types.h', 'WEFT_SCHEMA = 4', 'WEFT_SCHEMA = 5', /WEFT_SCHEMA is 5 in C, 4 in TypeScript/],
  ['an address flag', 'abi/workload.h', 'WEFT_ADDRESS_HBONE = 2', 'WEFT_ADDRESS_HBONE = 8', /WEFT_ADDRESS_HBONE is 8 in C, 2 in/],
  ['a node flag', 'abi/config.h', 'WEFT_CONFIG_INCOMPLETE = 1', 'WEFT_CONFIG_INCOMPLETE = 2', /WEFT_CONFIG_INCOMPLETE is 2 in C/],
  [
    'a new reason',
    'abi/event.h',
    'WEFT_REASON_NOT_LOCAL = 22,',
    'WEFT_REASON_NOT_LOCAL = 22,\n\tWEFT_REASON_NEW = 99,',
    /WEFT_REASON_NEW is 99 in C, missing in TypeScript/,
  ],
  [
    'fields that changed places',
    'abi/verdict.h',
    '__u32 source_id; /* 0: a peer without identity */\n\t__u32 destination_id;',
    '__u32 destination_id;\n\t__u32 source_id;',
    /weft_verdict_key: only C has source_id at 4, 4 bytes/,
  ],
  [
    'the size of a map',
    'lib/verdict.h',
    '65536',
    '32768',
    /map verdicts has type 9, 32768 entries .* in C, type 9, 65536 entries/,
  ],
] as const;

const skip = clang ? false : 'MISSING: clang, so nobody checks that a change of bpf/ alone is seen';

describe('a change of bpf/ alone is seen', { skip }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-contract-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const compile = (source: string): void => {
    execFileSync(join(ROOT, 'scripts/compile-bpf'), [join(source, 'attach'), join(source, 'out')], { stdio: 'pipe' });
  };
  const edited = (file: string, from: string, to: string): string => {
    const source = mkdtempSync(join(dir, 'bpf-'));
    cpSync(join(ROOT, 'bpf'), source, { recursive: true });
    const text = readFileSync(join(source, file), 'utf8');
    assert.ok(text.includes(from), `${file} no longer has ${from}`);
    writeFileSync(join(source, file), text.replace(from, to));
    return source;
  };

  for (const [what, file, from, to, seen] of PLANTED) {
    test(what, () => {
      const source = edited(file, from, to);
      compile(source);
      const contract = contractOf(join(source, 'out'));
      const differences = contractDifferences(contract);
      assert.equal(differences.filter((one) => seen.test(one)).length, 1, differences.join('\n'));
      if (what === 'the schema number' || what === 'a new reason') return;
      assert.notDeepEqual(breakingChanges(readFileSync(LAYOUTS, 'utf8'), contractText(contract)), [], 'needs a new number');
    });
  }

  test('a struct of another size does not even compile', () => {
    const source = edited('abi/service.h', '__u32 backend_count;', '__u64 backend_count;');
    assert.throws(() => compile(source), /struct weft_service has another size than layouts.txt says/);
  });
});
